package conformance

import "google.golang.org/grpc/codes"

const tABC = "Id:INT64#1*, A:STRING#2, B:INT64#3, C:STRING#4"

// dmlCases is section B.
func dmlCases() []Case {
	return []Case{
		{ID: 26, Name: "DMLInsertKeyOnly", Schema: schemaG(), Dialects: both(),
			Txns: []Txn{{dml("INSERT INTO Users (UserId) VALUES (1)", `INSERT INTO "Users" ("UserId") VALUES (1)`)}},
			Want: []StreamWant{on("StreamUsers", rec("INSERT", "Users", newValues, u3, Mod{user("1"), `{"Age":null,"Name":null}`, `{}`}))}},
		{ID: 27, Name: "DMLInsertString", Schema: schemaG(), Dialects: both(),
			Txns: []Txn{{dml("INSERT INTO Users (UserId, Name) VALUES (2, 'name2')", `INSERT INTO "Users" ("UserId", "Name") VALUES (2, 'name2')`)}},
			Want: []StreamWant{on("StreamUsers", rec("INSERT", "Users", newValues, u3, Mod{user("2"), `{"Age":null,"Name":"name2"}`, `{}`}))}},
		{ID: 28, Name: "DMLInsertCompositeKey", Schema: schemaLayout(), Dialects: both(),
			Txns: []Txn{{dml("INSERT INTO Singer (SingerId, Name) VALUES (1, 'name1')", `INSERT INTO "Singer" ("SingerId", "Name") VALUES (1, 'name1')`)}},
			Want: []StreamWant{on("StreamSinger", rec("INSERT", "Singer", newValues, "SingerId:INT64#1*, Name:STRING#2*, Age:INT64#3",
				Mod{`{"Name":"name1","SingerId":"1"}`, `{"Age":null}`, `{}`}))}},
		{ID: 29, Name: "DMLUpdateRecordsAssignedColumns", Schema: schemaG(), Dialects: both(),
			Setup: []Txn{{dml("INSERT INTO Users (UserId) VALUES (1)", `INSERT INTO "Users" ("UserId") VALUES (1)`)}},
			Txns:  []Txn{{dml("UPDATE Users SET Age = 20 WHERE UserId = 1", `UPDATE "Users" SET "Age" = 20 WHERE "UserId" = 1`)}},
			Want:  []StreamWant{on("StreamUsers", rec("UPDATE", "Users", newValues, userAge, Mod{user("1"), `{"Age":"20"}`, `{}`}))},
			Google: &Difference{Reason: "a DML UPDATE writes every column", Rule: "only assigned columns count as modified",
				Want: []StreamWant{on("StreamUsers", rec("UPDATE", "Users", newValues, u3, Mod{user("1"), `{"Age":"20","Name":null}`, `{}`}))}}},
		{ID: 30, Name: "DMLUpdateLeavesDefaultsAlone", Schema: schemaLayout(), Dialects: both(),
			Setup: []Txn{{insert("T", "Id", 1, "A", "a1", "B", 5)}},
			Txns:  []Txn{{dml("UPDATE T SET A = 'a2' WHERE Id = 1", `UPDATE "T" SET "A" = 'a2' WHERE "Id" = 1`)}},
			Want: []StreamWant{on("StreamAll", rec("UPDATE", "T", oldAndNew, "Id:INT64#1*, A:STRING#2",
				Mod{`{"Id":"1"}`, `{"A":"a2"}`, `{"A":"a1"}`}))},
			Google: &Difference{Reason: "a DML UPDATE writes every column", Rule: "only assigned columns count as modified",
				Want: []StreamWant{on("StreamAll", rec("UPDATE", "T", oldAndNew, tABC,
					Mod{`{"Id":"1"}`, `{"A":"a2","B":"5","C":"dflt"}`, `{"A":"a1","B":"5","C":"dflt"}`}))}}},
	}
}

func foo(op func(string, ...any) Op, text string) Op {
	return op("Users", "UserId", 1, "Name", text)
}

// combinedCases is the first half of section C: several operations on the same
// or on different rows of Users.
func combinedCases() []Case {
	fooBar := []Txn{{foo(insert, "Foo Bar")}}
	twice := Txn{foo(update, "Foo Bar Update1"), foo(update, "Foo Bar Update2")}
	rows := []Txn{{insert("Users", "UserId", 1, "Name", "name1", "Age", 20), insert("Users", "UserId", 2, "Name", "name2", "Age", 20)}}
	ids := []Txn{{insert("Users", "UserId", 1), insert("Users", "UserId", 2), insert("Users", "UserId", 3)}}
	users := func(records ...Record) []StreamWant { return []StreamWant{on("StreamUsers", records...)} }
	last := `{"Name":"Foo Bar Update2"}`
	cases := []Case{
		{ID: 31, Name: "TwoUpdatesAreOne", Setup: fooBar, Txns: []Txn{twice},
			Want: users(rec("UPDATE", "Users", newValues, u2, Mod{user("1"), last, `{}`}))},
		{ID: 32, Name: "OldValueIsThatBeforeTheTransaction", Setup: fooBar, Txns: []Txn{twice},
			Want: []StreamWant{on("StreamAll", rec("UPDATE", "Users", oldAndNew, u2, Mod{user("1"), last, `{"Name":"Foo Bar"}`}))}},
		{ID: 33, Name: "TwoUpdatesNewRow", Alter: []Text{capture("StreamUsers", newRow)}, Restore: []Text{capture("StreamUsers", newValues)},
			Setup: fooBar, Txns: []Txn{twice},
			Want: users(rec("UPDATE", "Users", newRow, u3, Mod{user("1"), `{"Age":null,"Name":"Foo Bar Update2"}`, `{}`}))},
		{ID: 34, Name: "InsertThenUpdatesIsInsert", Txns: []Txn{{foo(insert, "Foo Bar Update"), twice[0], twice[1]}},
			Want: users(rec("INSERT", "Users", newValues, u3, Mod{user("1"), `{"Age":null,"Name":"Foo Bar Update2"}`, `{}`}))},
		{ID: 35, Name: "InsertAndUpdateOfDifferentRows", Setup: []Txn{{name1()}}, AnyOrder: true,
			Txns: []Txn{{insert("Users", "UserId", 2, "Name", "name2"), update("Users", "UserId", 1, "Name", "name1update")}},
			Want: users(rec("INSERT", "Users", newValues, u3, Mod{user("2"), `{"Age":null,"Name":"name2"}`, `{}`}),
				rec("UPDATE", "Users", newValues, u2, Mod{user("1"), `{"Name":"name1update"}`, `{}`}))},
		{ID: 36, Name: "InsertThenDeleteIsSilent", Txns: []Txn{{name1(), remove("Users", 1)}}, Want: users()},
		{ID: 37, Name: "InsertDeleteTwiceIsSilent", Txns: []Txn{{name1(), remove("Users", 1), name1(), remove("Users", 1)}}, Want: users()},
		{ID: 38, Name: "InsertUpdatesDeleteIsSilent", Txns: []Txn{{foo(insert, "Foo Bar"), twice[0], twice[1], remove("Users", 1)}}, Want: users()},
		{ID: 39, Name: "InsertDeleteInsertIsInsert", Txns: []Txn{{name1(), remove("Users", 1), name1()}},
			Want: users(rec("INSERT", "Users", newValues, u3, Mod{user("1"), `{"Age":null,"Name":"name1"}`, `{}`}))},
		{ID: 40, Name: "TwoTransactionsInOrder",
			Txns: []Txn{{insert("Users", "UserId", 4, "Name", "Foo Bar Update0")},
				{update("Users", "UserId", 4, "Name", "Foo Bar Update1"), update("Users", "UserId", 4, "Name", "Foo Bar Update2"), remove("Users", 4)}},
			Want: []StreamWant{{Stream: "StreamUsers", Records: [][]Record{
				{rec("INSERT", "Users", newValues, u3, Mod{user("4"), `{"Age":null,"Name":"Foo Bar Update0"}`, `{}`})},
				{rec("DELETE", "Users", newValues, u3, Mod{user("4"), `{}`, `{}`})}}}}},
		{ID: 42, Name: "InsertsOfDifferentColumnsAreOneRecord",
			Txns: []Txn{{name1(), insert("Users", "UserId", 2, "Age", 20)}},
			Want: users(rec("INSERT", "Users", newValues, u3, Mod{user("1"), `{"Age":null,"Name":"name1"}`, `{}`}, Mod{user("2"), `{"Age":"20","Name":null}`, `{}`}))},
		{ID: 43, Name: "TwoColumnsOfOneRowAreOneUpdate", Setup: rows,
			Txns: []Txn{{update("Users", "UserId", 1, "Age", 22), update("Users", "UserId", 1, "Name", "name1update")}},
			Want: users(rec("UPDATE", "Users", newValues, u3, Mod{user("1"), `{"Age":"22","Name":"name1update"}`, `{}`}))},
		{ID: 44, Name: "UpdatesOfDifferentColumnsAreTwoRecords", Setup: rows,
			Txns: []Txn{{update("Users", "UserId", 1, "Age", 22), update("Users", "UserId", 2, "Name", "name2update")}},
			Want: users(rec("UPDATE", "Users", newValues, userAge, Mod{user("1"), `{"Age":"22"}`, `{}`}),
				rec("UPDATE", "Users", newValues, u2, Mod{user("2"), `{"Name":"name2update"}`, `{}`}))},
		{ID: 45, Name: "EachStreamRecordsWhatItWatches", Txns: []Txn{{insert("Users", "UserId", 1, "Age", 20)}},
			Want: []StreamWant{on("StreamUserAge", rec("INSERT", "Users", newValues, userAge, Mod{user("1"), `{"Age":"20"}`, `{}`})),
				on("StreamUsers", rec("INSERT", "Users", newValues, u3, Mod{user("1"), `{"Age":"20","Name":null}`, `{}`}))}},
		{ID: 46, Name: "DeleteOfTwoKeysIsOneRecord", Setup: ids, Txns: []Txn{{remove("Users", 1, 2)}},
			Want: users(rec("DELETE", "Users", newValues, u3, Mod{user("1"), `{}`, `{}`}, Mod{user("2"), `{}`, `{}`}))},
		{ID: 47, Name: "DeleteOfOwnInsertIsLeftOut", Setup: []Txn{{insert("Users", "UserId", 1), insert("Users", "UserId", 2)}},
			Txns: []Txn{{insert("Users", "UserId", 3), remove("Users", 1, 3)}},
			Want: users(rec("DELETE", "Users", newValues, u3, Mod{user("1"), `{}`, `{}`}))},
		{ID: 48, Name: "DeleteInsertDeleteIsDelete", Setup: []Txn{{name1()}},
			Txns: []Txn{{remove("Users", 1), insert("Users", "UserId", 1, "Name", "name2"), remove("Users", 1)}},
			Want: users(rec("DELETE", "Users", newValues, u3, Mod{user("1"), `{}`, `{}`}))},
	}
	for i := range cases {
		cases[i].Schema, cases[i].Dialects = schemaG(), both()
	}
	return cases
}

// replaceCases is the middle of section C: what takes more than one record for
// one row, and the order of records.
func replaceCases() []Case {
	exists := []Txn{{name1()}}
	gone := rec("DELETE", "Users", newValues, u3, Mod{user("1"), `{}`, `{}`})
	back := func(name string) Record {
		return rec("INSERT", "Users", newValues, u3, Mod{user("1"), `{"Age":null,"Name":"` + name + `"}`, `{}`})
	}
	us := rec("INSERT", "Accounts", oldAndNew, accounts, Mod{`{"AccountId":"1"}`, `{"Country":"US","Year":"2023"}`, `{}`})
	first := rec("INSERT", "Users", oldAndNew, u3, Mod{user("1"), `{"Age":"20","Name":"name1"}`, `{}`})
	cases := []Case{
		{ID: 49, Name: "ReplaceIsDeleteAndInsert", Setup: exists, Txns: []Txn{{replace("Users", "UserId", 1, "Name", "name2")}},
			Want: []StreamWant{on("StreamUsers", gone, back("name2"))},
			Google: &Difference{Reason: "REPLACE of an existing row gives an INSERT only", Rule: "REPLACE is DELETE, then INSERT",
				Want: []StreamWant{on("StreamUsers", back("name2"))}}},
		{ID: 50, Name: "ReplaceTwice", Setup: exists,
			Txns: []Txn{{replace("Users", "UserId", 1, "Name", "name2"), replace("Users", "UserId", 1, "Name", "name3")}},
			Want: []StreamWant{on("StreamUsers", gone, back("name3"))},
			Google: &Difference{Reason: "REPLACE of an existing row gives an INSERT only", Rule: "REPLACE is DELETE, then INSERT",
				Want: []StreamWant{on("StreamUsers", back("name3"))}}},
		{ID: 51, Name: "TablesInOrderOfExecution",
			Txns: []Txn{{insert("Users", "UserId", 1, "Name", "name1", "Age", 20), insert("Accounts", "AccountId", 1, "Country", "US", "Year", 2023)}},
			Want: []StreamWant{on("StreamAll", first, us)},
			Google: &Difference{Reason: "records of a transaction come by table in hash order", Rule: "records come in the order of execution", AnyOrder: true,
				Want: []StreamWant{on("StreamAll", us, first)}}},
		{ID: 193, Name: "UpdateOfDeletedRowFails", Setup: exists, Txns: []Txn{{remove("Users", 1), foo(update, "again")}}, Code: codes.InvalidArgument},
		{ID: 194, Name: "UpdateOfDeletedAndInsertedRow", Setup: exists, Txns: []Txn{{remove("Users", 1), name1(), foo(update, "again")}},
			Want: []StreamWant{on("StreamUsers", gone, back("again"))},
			Google: &Difference{Reason: "DELETE and INSERT of an existing row give an INSERT only", Rule: "a row that is deleted and inserted has both records",
				Want: []StreamWant{on("StreamUsers", back("again"))}}},
		{ID: 195, Name: "UpdateOfDeletedAndReplacedRowFails", Setup: exists,
			Txns: []Txn{{remove("Users", 1), replace("Users", "UserId", 1, "Name", "name2"), foo(update, "again")}}, Code: codes.InvalidArgument},
		{ID: 196, Name: "UpdateOfReplacedRow", Setup: exists, Txns: []Txn{{replace("Users", "UserId", 1, "Name", "name2"), foo(update, "again")}},
			Want: []StreamWant{on("StreamUsers", gone, back("again"))},
			Google: &Difference{Reason: "REPLACE of an existing row gives an INSERT only", Rule: "REPLACE is DELETE, then INSERT",
				Want: []StreamWant{on("StreamUsers", back("again"))}}},
	}
	for i := range cases {
		cases[i].Schema, cases[i].Dialects = schemaG(), both()
	}
	return cases
}

// layoutCases is the rest of section C: several tables, several mods a record,
// defaults and cascades.
func layoutCases() []Case {
	two := Txn{insert("Users", "UserId", 1, "Name", "name1", "Age", 20), insert("Users", "UserId", 2, "Name", "name2", "Age", 20)}
	cases := []Case{
		{ID: 41, Name: "TwoTablesInOneTransaction", AnyOrder: true,
			Txns: []Txn{{name1(), insert("Accounts", "AccountId", 1, "Country", "country1"), insert("Accounts", "AccountId", 2, "Country", "country2")}},
			Want: []StreamWant{on("StreamAccountsUsers",
				rec("INSERT", "Accounts", newValues, accounts, Mod{`{"AccountId":"1"}`, `{"Country":"country1","Year":null}`, `{}`},
					Mod{`{"AccountId":"2"}`, `{"Country":"country2","Year":null}`, `{}`}),
				rec("INSERT", "Users", newValues, u3, Mod{user("1"), `{"Age":null,"Name":"name1"}`, `{}`}))}},
		{ID: 52, Name: "TwoInsertsAreOneRecord", Txns: []Txn{two},
			Want: []StreamWant{on("StreamAccountsUsers", rec("INSERT", "Users", newValues, u3,
				Mod{user("1"), `{"Age":"20","Name":"name1"}`, `{}`}, Mod{user("2"), `{"Age":"20","Name":"name2"}`, `{}`}))}},
		{ID: 53, Name: "TwoUpdatesOfTheSameColumnsAreOneRecord", Setup: []Txn{two},
			Txns: []Txn{{update("Users", "UserId", 1, "Name", "name1", "Age", 30), update("Users", "UserId", 2, "Name", "name2", "Age", 30)}},
			Want: []StreamWant{on("StreamAccountsUsers", rec("UPDATE", "Users", newValues, u3,
				Mod{user("1"), `{"Age":"30","Name":"name1"}`, `{}`}, Mod{user("2"), `{"Age":"30","Name":"name2"}`, `{}`}))}},
		{ID: 54, Name: "InsertOrUpdateIsWhatItDid", Setup: []Txn{{insert("T", "Id", 1, "A", "a3", "B", 5)}},
			Txns: []Txn{{upsert("T", "Id", 1, "A", "a4"), upsert("T", "Id", 2, "A", "b")}},
			Want: []StreamWant{on("StreamAll",
				rec("UPDATE", "T", oldAndNew, "Id:INT64#1*, A:STRING#2", Mod{`{"Id":"1"}`, `{"A":"a4"}`, `{"A":"a3"}`}),
				rec("INSERT", "T", oldAndNew, tABC, Mod{`{"Id":"2"}`, `{"A":"b","B":null,"C":"dflt"}`, `{}`}))}},
		{ID: 55, Name: "CascadeDeletesChildren", AnyOrder: true,
			Setup: []Txn{{insert("P", "Id", 1, "V", "p"), insert("Ch", "Id", 1, "Cid", 1, "W", "w1"), insert("Ch", "Id", 1, "Cid", 2, "W", "w2")}},
			Txns:  []Txn{{remove("P", 1)}},
			Want: []StreamWant{on("StreamAll",
				rec("DELETE", "P", oldAndNew, "Id:INT64#1*, V:STRING#2", Mod{`{"Id":"1"}`, `{}`, `{"V":"p"}`}),
				rec("DELETE", "Ch", oldAndNew, "Id:INT64#1*, Cid:INT64#2*, W:STRING#3",
					Mod{`{"Cid":"1","Id":"1"}`, `{}`, `{"W":"w1"}`}, Mod{`{"Cid":"2","Id":"1"}`, `{}`, `{"W":"w2"}`}))}},
	}
	for i := range cases {
		cases[i].Schema, cases[i].Dialects = schemaLayout(), both()
	}
	return cases
}
