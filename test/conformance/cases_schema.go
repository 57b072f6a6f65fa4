package conformance

// schemaChangeCases is the first half of section D. The order matters: the
// later cases see the schema that the earlier ones left.
func schemaChangeCases() []Case {
	ddl := func(googleSQL, postgreSQL string) []Text {
		return []Text{{GoogleSQL: googleSQL, PostgreSQL: postgreSQL}}
	}
	watchUsers := ddl("ALTER CHANGE STREAM StreamUsers SET FOR Users", `ALTER CHANGE STREAM "StreamUsers" SET FOR "Users"`)
	cases := []Case{
		{ID: 56, Name: "ForAllTakesInNewTables",
			Alter: ddl("CREATE TABLE Friends (FriendId INT64 NOT NULL, Name STRING(MAX), Age INT64) PRIMARY KEY (FriendId)",
				`CREATE TABLE "Friends" ("FriendId" bigint NOT NULL, "Name" varchar, "Age" bigint, PRIMARY KEY ("FriendId"))`),
			Txns: []Txn{{insert("Friends", "FriendId", 1, "Name", "name1")}},
			Want: []StreamWant{on("StreamAll", rec("INSERT", "Friends", oldAndNew, "FriendId:INT64#1*, Name:STRING#2, Age:INT64#3",
				Mod{`{"FriendId":"1"}`, `{"Age":null,"Name":"name1"}`, `{}`}))}},
		{ID: 57, Name: "AlterToAnotherTable", Restore: watchUsers,
			Alter: ddl("ALTER CHANGE STREAM StreamUsers SET FOR Accounts", `ALTER CHANGE STREAM "StreamUsers" SET FOR "Accounts"`),
			Txns:  []Txn{{insert("Users", "UserId", 1), insert("Accounts", "AccountId", 1, "Country", "country1")}},
			Want: []StreamWant{on("StreamUsers", rec("INSERT", "Accounts", newValues, accounts,
				Mod{`{"AccountId":"1"}`, `{"Country":"country1","Year":null}`, `{}`}))}},
		{ID: 58, Name: "DropForAllSilences", Restore: watchUsers,
			Alter: ddl("ALTER CHANGE STREAM StreamUsers DROP FOR ALL", `ALTER CHANGE STREAM "StreamUsers" DROP FOR ALL`),
			Txns:  []Txn{{name1()}}, Want: []StreamWant{on("StreamUsers")}},
		{ID: 59, Name: "IndexesAreNotRecorded",
			Alter: ddl("CREATE INDEX UsersByName ON Users(Name)", `CREATE INDEX "UsersByName" ON "Users"("Name")`),
			Txns:  []Txn{{name1()}},
			Want:  []StreamWant{on("StreamUsers", rec("INSERT", "Users", newValues, u3, Mod{user("1"), `{"Age":null,"Name":"name1"}`, `{}`}))}},
		{ID: 60, Name: "WholeTableTakesInNewColumns",
			Alter: ddl("ALTER TABLE Users ADD COLUMN Description STRING(MAX)", `ALTER TABLE "Users" ADD COLUMN "Description" varchar`),
			Txns:  []Txn{{insert("Users", "UserId", 1, "Name", "name1", "Age", 20, "Description", "Foo Bar")}},
			Want: []StreamWant{on("StreamUsers", rec("INSERT", "Users", newValues, u3+", Description:STRING#4",
				Mod{user("1"), `{"Age":"20","Description":"Foo Bar","Name":"name1"}`, `{}`}))}},
	}
	for i := range cases {
		cases[i].Schema, cases[i].Dialects = schemaChanging(), both()
	}
	return cases
}

// watchedColumnCases is the second half of section D: generated columns and
// streams that name columns.
func watchedColumnCases() []Case {
	const data = "UserId:INT64#1*, Data:JSON#3"
	before, after := jsonObject(`{"a":{"b":456}}`), jsonObject(`{"a":{"b":999}}`)
	stored, changed := `{"Data":"{\"a\":{\"b\":456}}"}`, `{"Data":"{\"a\":{\"b\":999}}"}`
	row := Txn{insert("ASTable", "UserId", 1, "Data", before)}
	edit := Txn{update("ASTable", "UserId", 1, "Data", after)}
	inserted := func(capture string) Record {
		return rec("INSERT", "ASTable", capture, data, Mod{user("1"), stored, `{}`})
	}
	all := func(records ...Record) []StreamWant { return []StreamWant{on("StreamAll", records...)} }
	types := []Case{
		{ID: 61, Name: "GeneratedColumnIsAbsentFromInsert", Txns: []Txn{row}, Want: all(inserted(oldAndNew))},
		{ID: 62, Name: "GeneratedColumnIsAbsentFromUpdate", Setup: []Txn{row}, Txns: []Txn{edit},
			Want: all(rec("UPDATE", "ASTable", oldAndNew, data, Mod{user("1"), changed, stored}))},
		{ID: 63, Name: "GeneratedColumnIsAbsentFromDelete", Setup: []Txn{row}, Txns: []Txn{{remove("ASTable", 1)}},
			Want: all(rec("DELETE", "ASTable", oldAndNew, data, Mod{user("1"), `{}`, stored}))},
		{ID: 64, Name: "GeneratedColumnIsAbsentFromNewRow", Alter: []Text{capture("StreamAll", newRow)}, Restore: []Text{capture("StreamAll", oldAndNew)},
			Txns: []Txn{row, edit, {remove("ASTable", 1)}},
			Want: []StreamWant{{Stream: "StreamAll", Records: [][]Record{{inserted(newRow)},
				{rec("UPDATE", "ASTable", newRow, data, Mod{user("1"), changed, `{}`})},
				{rec("DELETE", "ASTable", newRow, data, Mod{user("1"), `{}`, `{}`})}}}}},
	}
	for i := range types {
		types[i].Schema, types[i].Dialects = schemaTypes(), googleOnly()
	}
	return append(types, namedColumnCases()...)
}

func namedColumnCases() []Case {
	exists := []Txn{{insert("Users2", "UserId", 1, "Name", "name1", "Gender", "F")}}
	rename := []Txn{{update("Users2", "UserId", 1, "Name", "name1Update", "Gender", "M")}}
	gone := []Txn{{remove("Users2", 1)}}
	wholeRow, back := []Text{capture("StreamSpecifiedColumns", newRowAndOld)}, []Text{capture("StreamSpecifiedColumns", oldAndNew)}
	want := func(r Record) []StreamWant { return []StreamWant{on("StreamSpecifiedColumns", r)} }
	const oldRow = `{"Age":null,"Name":"name1"}`
	cases := []Case{
		{ID: 65, Name: "NamedColumnsDelete", Setup: exists, Txns: gone,
			Want: want(rec("DELETE", "Users2", oldAndNew, users2Both, Mod{user("1"), `{}`, oldRow}))},
		{ID: 66, Name: "NamedColumnsUpdate", Setup: exists, Txns: rename,
			Want: want(rec("UPDATE", "Users2", oldAndNew, users2Name, Mod{user("1"), `{"Name":"name1Update"}`, `{"Name":"name1"}`}))},
		{ID: 67, Name: "NamedColumnsUpdateNewRowAndOldValues", Alter: wholeRow, Restore: back, Setup: exists, Txns: rename,
			Want: want(rec("UPDATE", "Users2", newRowAndOld, users2Both, Mod{user("1"), `{"Age":null,"Name":"name1Update"}`, `{"Name":"name1"}`}))},
		{ID: 68, Name: "NamedColumnsDeleteNewRowAndOldValues", Alter: wholeRow, Restore: back, Setup: exists, Txns: gone,
			Want: want(rec("DELETE", "Users2", newRowAndOld, users2Both, Mod{user("1"), `{}`, oldRow}))},
	}
	for i := range cases {
		cases[i].Schema, cases[i].Dialects = schemaG(), both()
	}
	return append(cases, Case{ID: 69, Name: "NewRowOfUnwatchedUpdateIsSilent", Schema: schemaLayout(), Dialects: both(),
		Setup: []Txn{{insert("W", "Id", 1, "A", "a1")}}, Txns: []Txn{{update("W", "Id", 1, "B", "b2")}},
		Want: []StreamWant{on("StreamW")},
		Google: &Difference{Reason: "under NEW_ROW an update of unwatched columns is recorded", Rule: "an update that writes no watched column gives no record",
			Want: []StreamWant{on("StreamW", rec("UPDATE", "W", newRow, "Id:INT64#1*, A:STRING#2", Mod{`{"Id":"1"}`, `{"A":"a1"}`, `{}`}))}}})
}

// exclusionCases is section E.
func exclusionCases() []Case {
	const acc = "UserId:INT64#1*, AccountId:INT64#2*, Balance:INT64#3"
	setup := []Txn{{insert("Users", "UserId", 1, "Name", "name1", "Age", 20), insert("Users", "UserId", 2, "Name", "name2", "Age", 20)}}
	ins := rec("INSERT", "Users", newValues, u3, Mod{user("3"), `{"Age":"30","Name":"name3"}`, `{}`})
	upd := rec("UPDATE", "Users", newValues, u2, Mod{user("1"), `{"Name":"name1Update"}`, `{}`})
	del := func(id string) Record { return rec("DELETE", "Users", newValues, u3, Mod{user(id), `{}`, `{}`}) }
	child := rec("DELETE", "Accounts", newValues, acc, Mod{`{"AccountId":"111","UserId":"1"}`, `{}`, `{}`})
	insert3 := insert("Users", "UserId", 3, "Name", "name3", "Age", 30)
	three := func(one, two, three []Record) []StreamWant {
		return []StreamWant{on("Stream1", one...), on("Stream2", two...), on("Stream3", three...)}
	}
	cases := []Case{
		{ID: 70, Name: "ExcludeInsert", Txns: []Txn{{insert3}}, Want: three(nil, []Record{ins}, []Record{ins})},
		{ID: 71, Name: "ExcludeUpdate", Txns: []Txn{{name1Update()}}, Want: three([]Record{upd}, nil, []Record{upd})},
		{ID: 72, Name: "ExcludeDelete", Txns: []Txn{{remove("Users", 1)}}, Want: three([]Record{del("1")}, []Record{del("1")}, nil)},
		{ID: 73, Name: "ExcludeInMixedTransaction", Txns: []Txn{{insert3, name1Update(), remove("Users", 2)}}, AnyOrder: true,
			Want: three([]Record{upd, del("2")}, []Record{ins, del("2")}, []Record{ins, upd})},
		{ID: 74, Name: "ExcludeDeleteOfCascade", Txns: []Txn{{remove("Users", 1)}}, AnyOrder: true,
			Want: three([]Record{del("1"), child}, []Record{del("1"), child}, nil)},
	}
	for i := range cases {
		cases[i].Schema, cases[i].Dialects, cases[i].Setup = schemaExclusion(), both(), setup
	}
	cases[4].Setup = []Txn{{setup[0][0], setup[0][1], insert("Accounts", "UserId", 1, "AccountId", 111, "Balance", 250)}}
	return cases
}
