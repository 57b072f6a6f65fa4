package conformance

import (
	"encoding/base64"
	"time"

	"cloud.google.com/go/civil"
	"cloud.google.com/go/spanner"
	"google.golang.org/grpc/codes"
)

const (
	u3         = "UserId:INT64#1*, Name:STRING#2, Age:INT64#3"
	u2         = "UserId:INT64#1*, Name:STRING#2"
	userAge    = "UserId:INT64#1*, Age:INT64#3"
	userKey    = "UserId:INT64#1*"
	accounts   = "AccountId:INT64#1*, Country:STRING#2, Year:INT64#3"
	users2Name = "UserId:INT64#1*, Name:STRING#3"
	users2Both = "UserId:INT64#1*, Name:STRING#3, Age:INT64#4"
)

func user(id string) string { return `{"UserId":"` + id + `"}` }

func name1() Op       { return insert("Users", "UserId", 1, "Name", "name1") }
func name1Update() Op { return update("Users", "UserId", 1, "Name", "name1Update") }

// singleCases is section A: one operation per transaction.
func singleCases() []Case {
	insertMod := Mod{user("1"), `{"Age":null,"Name":"name1"}`, `{}`}
	exists := []Txn{{name1()}}
	one := func(c Case) Case {
		c.Schema, c.Dialects = schemaG(), both()
		return c
	}
	return []Case{
		one(Case{ID: 1, Name: "InsertNewValues", Txns: []Txn{{name1()}},
			Want: []StreamWant{on("StreamUsers", rec("INSERT", "Users", newValues, u3, insertMod))}}),
		one(Case{ID: 2, Name: "InsertOldAndNewValues", Txns: []Txn{{name1()}},
			Want: []StreamWant{on("StreamAll", rec("INSERT", "Users", oldAndNew, u3, insertMod))}}),
		one(Case{ID: 3, Name: "InsertNewRow", Alter: []Text{capture("StreamUsers", newRow)}, Restore: []Text{capture("StreamUsers", newValues)},
			Txns: []Txn{{name1()}},
			Want: []StreamWant{on("StreamUsers", rec("INSERT", "Users", newRow, u3, insertMod))}}),
		one(Case{ID: 4, Name: "InsertNewRowAndOldValues", Alter: []Text{capture("StreamAll", newRowAndOld)}, Restore: []Text{capture("StreamAll", oldAndNew)},
			Txns: []Txn{{name1()}},
			Want: []StreamWant{on("StreamAll", rec("INSERT", "Users", newRowAndOld, u3, insertMod))}}),
		one(Case{ID: 5, Name: "UpdateNewValues", Setup: exists, Txns: []Txn{{name1Update()}},
			Want: []StreamWant{on("StreamUsers", rec("UPDATE", "Users", newValues, u2, Mod{user("1"), `{"Name":"name1Update"}`, `{}`}))}}),
		one(Case{ID: 6, Name: "UpdateOldAndNewValues", Setup: exists, Txns: []Txn{{name1Update()}},
			Want: []StreamWant{on("StreamAll", rec("UPDATE", "Users", oldAndNew, u2, Mod{user("1"), `{"Name":"name1Update"}`, `{"Name":"name1"}`}))}}),
		one(Case{ID: 7, Name: "UpdateNewRow", Alter: []Text{capture("StreamAll", newRow)}, Restore: []Text{capture("StreamAll", oldAndNew)},
			Setup: exists, Txns: []Txn{{name1Update()}},
			Want: []StreamWant{on("StreamAll", rec("UPDATE", "Users", newRow, u3, Mod{user("1"), `{"Age":null,"Name":"name1Update"}`, `{}`}))}}),
		one(Case{ID: 8, Name: "UpdateNewRowKeepsOtherColumns", Alter: []Text{capture("StreamAll", newRow)}, Restore: []Text{capture("StreamAll", oldAndNew)},
			Setup: []Txn{{insert("Users", "UserId", 1, "Name", "name1", "Age", 20)}}, Txns: []Txn{{name1Update()}},
			Want: []StreamWant{on("StreamAll", rec("UPDATE", "Users", newRow, u3, Mod{user("1"), `{"Age":"20","Name":"name1Update"}`, `{}`}))}}),
		one(Case{ID: 9, Name: "UpdateNewRowAndOldValues", Alter: []Text{capture("StreamAll", newRowAndOld)}, Restore: []Text{capture("StreamAll", oldAndNew)},
			Setup: exists, Txns: []Txn{{name1Update()}},
			Want: []StreamWant{on("StreamAll", rec("UPDATE", "Users", newRowAndOld, u3, Mod{user("1"), `{"Age":null,"Name":"name1Update"}`, `{"Name":"name1"}`}))}}),
		one(Case{ID: 10, Name: "DeleteNewValues", Setup: exists, Txns: []Txn{{remove("Users", 1)}},
			Want: []StreamWant{on("StreamUsers", rec("DELETE", "Users", newValues, u3, Mod{user("1"), `{}`, `{}`}))}}),
		one(Case{ID: 11, Name: "DeleteOldAndNewValues", Setup: exists, Txns: []Txn{{remove("Users", 1)}},
			Want: []StreamWant{on("StreamAll", rec("DELETE", "Users", oldAndNew, u3, Mod{user("1"), `{}`, `{"Age":null,"Name":"name1"}`}))}}),
		one(Case{ID: 12, Name: "DeleteNewRow", Alter: []Text{capture("StreamUsers", newRow)}, Restore: []Text{capture("StreamUsers", newValues)},
			Setup: exists, Txns: []Txn{{remove("Users", 1)}},
			Want: []StreamWant{on("StreamUsers", rec("DELETE", "Users", newRow, u3, Mod{user("1"), `{}`, `{}`}))}}),
		one(Case{ID: 13, Name: "DeleteNewRowAndOldValues", Alter: []Text{capture("StreamAll", newRowAndOld)}, Restore: []Text{capture("StreamAll", oldAndNew)},
			Setup: exists, Txns: []Txn{{remove("Users", 1)}},
			Want: []StreamWant{on("StreamAll", rec("DELETE", "Users", newRowAndOld, u3, Mod{user("1"), `{}`, `{"Age":null,"Name":"name1"}`}))}}),
		one(Case{ID: 14, Name: "InsertExistingFails", Setup: exists, Txns: []Txn{{name1()}}, Code: codes.AlreadyExists}),
		one(Case{ID: 15, Name: "DeleteMissingRowIsSilent", Txns: []Txn{{remove("Users", 1)}}, Want: []StreamWant{on("StreamUsers")}}),
		one(Case{ID: 16, Name: "InsertKeyOnly", Txns: []Txn{{insert("Users", "UserId", 1)}},
			Want: []StreamWant{on("StreamUsers", rec("INSERT", "Users", newValues, u3, Mod{user("1"), `{"Age":null,"Name":null}`, `{}`}))}}),
		one(Case{ID: 17, Name: "UpdateWithSameValueIsRecorded", Setup: exists, Txns: []Txn{{update("Users", "UserId", 1, "Name", "name1")}},
			Want: []StreamWant{on("StreamUsers", rec("UPDATE", "Users", newValues, u2, Mod{user("1"), `{"Name":"name1"}`, `{}`}))}}),
		one(Case{ID: 18, Name: "UpdateOfUnwatchedColumnIsSilent", Setup: exists, Txns: []Txn{{name1Update()}}, Want: []StreamWant{on("StreamUserAge")}}),
		one(Case{ID: 19, Name: "InsertShowsWatchedColumnsOnly", Txns: []Txn{{insert("Users", "UserId", 1, "Name", "name1", "Age", 20)}},
			Want: []StreamWant{on("StreamUserName", rec("INSERT", "Users", newValues, u2, Mod{user("1"), `{"Name":"name1"}`, `{}`}))}}),
	}
}

// keyOnlyCases is the rest of section A on schema G: composite keys, and a
// stream that watches keys only.
func keyOnlyCases() []Case {
	exists := []Txn{{name1()}}
	return []Case{
		{ID: 20, Name: "CompositeKey", Schema: schemaG(), Dialects: both(),
			Txns: []Txn{{insert("Relation", "User1Id", 1, "User2Id", 1, "Description", "Friends")}},
			Want: []StreamWant{on("StreamRelation", rec("INSERT", "Relation", oldAndNew, "User1Id:INT64#1*, User2Id:INT64#2*, Description:STRING#3",
				Mod{`{"User1Id":"1","User2Id":"1"}`, `{"Description":"Friends"}`, `{}`}))}},
		{ID: 21, Name: "KeyOnlyStreamRecordsInsert", Schema: schemaG(), Dialects: both(), Txns: []Txn{{name1()}},
			Want: []StreamWant{on("StreamUsersId", rec("INSERT", "Users", newValues, userKey, Mod{user("1"), `{}`, `{}`}))}},
		{ID: 22, Name: "KeyOnlyStreamIgnoresUpdate", Schema: schemaG(), Dialects: both(), Setup: exists, Txns: []Txn{{name1Update()}},
			Want: []StreamWant{on("StreamUsersId")}},
		{ID: 23, Name: "KeyOnlyStreamRecordsDelete", Schema: schemaG(), Dialects: both(), Setup: exists, Txns: []Txn{{remove("Users", 1)}},
			Want: []StreamWant{on("StreamUsersId", rec("DELETE", "Users", newValues, userKey, Mod{user("1"), `{}`, `{}`}))}},
	}
}

// base64Bytes decodes the sheet's byte values, which are given in base64.
func base64Bytes(text string) []byte {
	out, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	return out
}

func day(year int) civil.Date { return civil.Date{Year: year, Month: time.September, Day: 27} }

// scalarCases is the end of section A: every scalar type.
func scalarCases() []Case {
	epoch := time.Unix(0, 0).UTC()
	json := func(v any) spanner.NullJSON { return spanner.NullJSON{Value: v, Valid: true} }
	return []Case{
		{ID: 24, Name: "EveryScalarTypeAsKey", Schema: schemaTypes(), Dialects: googleOnly(),
			Txns: []Txn{{insert("ScalarTypesAllKeysTable", "intVal", 1, "boolVal", true, "bytesVal", base64Bytes("blue"), "dateVal", day(2014),
				"float64Val", 1.1, "stringVal", "stringVal", "numericVal", numeric("1"), "timestampVal", epoch)}},
			Want: []StreamWant{on("StreamScalarTypes", rec("INSERT", "ScalarTypesAllKeysTable", oldAndNew,
				"intVal:INT64#1*, boolVal:BOOL#2*, bytesVal:BYTES#3*, dateVal:DATE#4*, float64Val:FLOAT64#5*, stringVal:STRING#6*, numericVal:NUMERIC#7*, timestampVal:TIMESTAMP#8*",
				Mod{`{"boolVal":true,"bytesVal":"blue","dateVal":"2014-09-27","float64Val":1.1,"intVal":"1","numericVal":"1","stringVal":"stringVal","timestampVal":"1970-01-01T00:00:00Z"}`,
					`{}`, `{}`}))}},
		{ID: 25, Name: "EveryScalarTypeAsValue", Schema: schemaTypes(), Dialects: googleOnly(),
			Txns: []Txn{{insert("ScalarTypesTable", "intVal", 1, "boolVal", true, "bytesVal", base64Bytes("blue"), "dateVal", day(2014),
				"float64Val", 1.1, "stringVal", "stringVal", "numericVal", numeric("1"), "timestampVal", epoch, "jsonVal", json("Hello world!"),
				"arrayInt", []int64{1, 2, 3}, "arrayStr", []string{"Hello", "Hi"}, "arrayJson", []spanner.NullJSON{json("Hello"), json("Hi")}, "float32Val", float32(3.14))}},
			Want: []StreamWant{on("StreamScalarTypes", rec("INSERT", "ScalarTypesTable", oldAndNew,
				"intVal:INT64#1*, boolVal:BOOL#2, bytesVal:BYTES#3, dateVal:DATE#4, float64Val:FLOAT64#5, stringVal:STRING#6, numericVal:NUMERIC#7, timestampVal:TIMESTAMP#8, "+
					"jsonVal:JSON#9, arrayInt:ARRAY<INT64>#10, arrayStr:ARRAY<STRING>#11, arrayJson:ARRAY<JSON>#12, float32Val:FLOAT32#13",
				Mod{`{"intVal":"1"}`,
					`{"arrayInt":["1","2","3"],"arrayJson":["\"Hello\"","\"Hi\""],"arrayStr":["Hello","Hi"],"boolVal":true,"bytesVal":"blue","dateVal":"2014-09-27",
					"float32Val":3.140000104904175,"float64Val":1.1,"jsonVal":"\"Hello world!\"","numericVal":"1","stringVal":"stringVal","timestampVal":"1970-01-01T00:00:00Z"}`,
					`{}`}))}},
	}
}
