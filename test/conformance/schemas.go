package conformance

// Both dialects in one list, for DDL that differs in quoting and types only.

func both() []Dialect { return []Dialect{GoogleSQL, PostgreSQL} }

func googleOnly() []Dialect { return []Dialect{GoogleSQL} }

func postgresOnly() []Dialect { return []Dialect{PostgreSQL} }

// schemaG is the schema of sections A to D.
func schemaG() *Schema {
	return &Schema{
		Name:   "g",
		Tables: []string{"Users", "Accounts", "Users2", "Relation"},
		DDL: map[Dialect][]string{
			GoogleSQL: {
				"CREATE TABLE Accounts (AccountId INT64 NOT NULL, Country STRING(MAX), Year INT64) PRIMARY KEY (AccountId)",
				"CREATE TABLE Users (UserId INT64 NOT NULL, Name STRING(MAX), Age INT64) PRIMARY KEY (UserId)",
				"CREATE TABLE Users2 (UserId INT64 NOT NULL, Gender STRING(MAX), Name STRING(MAX), Age INT64) PRIMARY KEY (UserId)",
				"CREATE TABLE Relation (User1Id INT64 NOT NULL, User2Id INT64 NOT NULL, Description STRING(MAX)) PRIMARY KEY (User1Id, User2Id)",
				"CREATE CHANGE STREAM StreamAll FOR ALL",
				"CREATE CHANGE STREAM StreamUsers FOR Users OPTIONS (value_capture_type = 'NEW_VALUES')",
				"CREATE CHANGE STREAM StreamRelation FOR Relation",
				"CREATE CHANGE STREAM StreamSpecifiedColumns FOR Users2(Name, Age)",
				"CREATE CHANGE STREAM StreamUserAge FOR Users(Age) OPTIONS (value_capture_type = 'NEW_VALUES')",
				"CREATE CHANGE STREAM StreamUserName FOR Users(Name) OPTIONS (value_capture_type = 'NEW_VALUES')",
				"CREATE CHANGE STREAM StreamUsersId FOR Users() OPTIONS (value_capture_type = 'NEW_VALUES')",
			},
			PostgreSQL: {
				`CREATE TABLE "Accounts" ("AccountId" bigint NOT NULL, "Country" varchar, "Year" bigint, PRIMARY KEY ("AccountId"))`,
				`CREATE TABLE "Users" ("UserId" bigint NOT NULL, "Name" varchar, "Age" bigint, PRIMARY KEY ("UserId"))`,
				`CREATE TABLE "Users2" ("UserId" bigint NOT NULL, "Gender" varchar, "Name" varchar, "Age" bigint, PRIMARY KEY ("UserId"))`,
				`CREATE TABLE "Relation" ("User1Id" bigint NOT NULL, "User2Id" bigint NOT NULL, "Description" varchar, PRIMARY KEY ("User1Id", "User2Id"))`,
				`CREATE CHANGE STREAM "StreamAll" FOR ALL`,
				`CREATE CHANGE STREAM "StreamUsers" FOR "Users" WITH (value_capture_type = 'NEW_VALUES')`,
				`CREATE CHANGE STREAM "StreamRelation" FOR "Relation"`,
				`CREATE CHANGE STREAM "StreamSpecifiedColumns" FOR "Users2"("Name", "Age")`,
				`CREATE CHANGE STREAM "StreamUserAge" FOR "Users"("Age") WITH (value_capture_type = 'NEW_VALUES')`,
				`CREATE CHANGE STREAM "StreamUserName" FOR "Users"("Name") WITH (value_capture_type = 'NEW_VALUES')`,
				`CREATE CHANGE STREAM "StreamUsersId" FOR "Users"() WITH (value_capture_type = 'NEW_VALUES')`,
			},
		},
	}
}

// schemaTypes has every scalar type as value and as key, and a generated column.
func schemaTypes() *Schema {
	return &Schema{
		Name:   "types",
		Tables: []string{"ScalarTypesTable", "ScalarTypesAllKeysTable", "ASTable"},
		DDL: map[Dialect][]string{GoogleSQL: {
			`CREATE TABLE ScalarTypesTable (intVal INT64 NOT NULL, boolVal BOOL, bytesVal BYTES(MAX), dateVal DATE, float64Val FLOAT64,
			 stringVal STRING(MAX), numericVal NUMERIC, timestampVal TIMESTAMP, jsonVal JSON, arrayInt ARRAY<INT64>,
			 arrayStr ARRAY<STRING(MAX)>, arrayJson ARRAY<JSON>, float32Val FLOAT32) PRIMARY KEY (intVal)`,
			`CREATE TABLE ScalarTypesAllKeysTable (intVal INT64 NOT NULL, boolVal BOOL, bytesVal BYTES(MAX), dateVal DATE, float64Val FLOAT64,
			 stringVal STRING(MAX), numericVal NUMERIC, timestampVal TIMESTAMP)
			 PRIMARY KEY (intVal, boolVal, bytesVal, dateVal, float64Val, stringVal, numericVal, timestampVal)`,
			`CREATE TABLE ASTable (UserId INT64 NOT NULL, OtherUserId STRING(MAX) AS (JSON_VALUE(Data, '$.a.b')) STORED, Data JSON) PRIMARY KEY (UserId)`,
			"CREATE CHANGE STREAM StreamAll FOR ALL",
			"CREATE CHANGE STREAM StreamScalarTypes FOR ScalarTypesTable, ScalarTypesAllKeysTable",
		}},
	}
}

// schemaLayout has what needs tables of its own: composite keys, defaults,
// interleaving, a stream over two tables.
func schemaLayout() *Schema {
	return &Schema{
		Name:   "layout",
		Tables: []string{"Users", "Accounts", "Singer", "T", "P", "W"},
		DDL: map[Dialect][]string{
			GoogleSQL: {
				"CREATE TABLE Accounts (AccountId INT64 NOT NULL, Country STRING(MAX), Year INT64) PRIMARY KEY (AccountId)",
				"CREATE TABLE Users (UserId INT64 NOT NULL, Name STRING(MAX), Age INT64) PRIMARY KEY (UserId)",
				"CREATE TABLE Singer (SingerId INT64 NOT NULL, Name STRING(MAX) NOT NULL, Age INT64) PRIMARY KEY (SingerId, Name)",
				"CREATE TABLE T (Id INT64 NOT NULL, A STRING(MAX), B INT64, C STRING(MAX) DEFAULT ('dflt'), G STRING(MAX) AS (LOWER(A)) STORED) PRIMARY KEY (Id)",
				"CREATE TABLE P (Id INT64 NOT NULL, V STRING(MAX)) PRIMARY KEY (Id)",
				"CREATE TABLE Ch (Id INT64 NOT NULL, Cid INT64 NOT NULL, W STRING(MAX)) PRIMARY KEY (Id, Cid), INTERLEAVE IN PARENT P ON DELETE CASCADE",
				"CREATE TABLE W (Id INT64 NOT NULL, A STRING(MAX), B STRING(MAX)) PRIMARY KEY (Id)",
				"CREATE CHANGE STREAM StreamAccountsUsers FOR Accounts, Users OPTIONS (value_capture_type = 'NEW_VALUES')",
				"CREATE CHANGE STREAM StreamSinger FOR Singer OPTIONS (value_capture_type = 'NEW_VALUES')",
				"CREATE CHANGE STREAM StreamAll FOR ALL",
				"CREATE CHANGE STREAM StreamW FOR W(A) OPTIONS (value_capture_type = 'NEW_ROW')",
			},
			PostgreSQL: {
				`CREATE TABLE "Accounts" ("AccountId" bigint NOT NULL, "Country" varchar, "Year" bigint, PRIMARY KEY ("AccountId"))`,
				`CREATE TABLE "Users" ("UserId" bigint NOT NULL, "Name" varchar, "Age" bigint, PRIMARY KEY ("UserId"))`,
				`CREATE TABLE "Singer" ("SingerId" bigint NOT NULL, "Name" varchar NOT NULL, "Age" bigint, PRIMARY KEY ("SingerId", "Name"))`,
				`CREATE TABLE "T" ("Id" bigint NOT NULL, "A" varchar, "B" bigint, "C" varchar DEFAULT 'dflt', "G" varchar GENERATED ALWAYS AS (lower("A")) STORED, PRIMARY KEY ("Id"))`,
				`CREATE TABLE "P" ("Id" bigint NOT NULL, "V" varchar, PRIMARY KEY ("Id"))`,
				`CREATE TABLE "Ch" ("Id" bigint NOT NULL, "Cid" bigint NOT NULL, "W" varchar, PRIMARY KEY ("Id", "Cid")) INTERLEAVE IN PARENT "P" ON DELETE CASCADE`,
				`CREATE TABLE "W" ("Id" bigint NOT NULL, "A" varchar, "B" varchar, PRIMARY KEY ("Id"))`,
				`CREATE CHANGE STREAM "StreamAccountsUsers" FOR "Accounts", "Users" WITH (value_capture_type = 'NEW_VALUES')`,
				`CREATE CHANGE STREAM "StreamSinger" FOR "Singer" WITH (value_capture_type = 'NEW_VALUES')`,
				`CREATE CHANGE STREAM "StreamAll" FOR ALL`,
				`CREATE CHANGE STREAM "StreamW" FOR "W"("A") WITH (value_capture_type = 'NEW_ROW')`,
			},
		},
	}
}

// schemaChanging is altered by its cases, so it is theirs alone.
func schemaChanging() *Schema {
	return &Schema{
		Name:   "changing",
		Tables: []string{"Users", "Accounts"},
		DDL: map[Dialect][]string{
			GoogleSQL: {
				"CREATE TABLE Accounts (AccountId INT64 NOT NULL, Country STRING(MAX), Year INT64) PRIMARY KEY (AccountId)",
				"CREATE TABLE Users (UserId INT64 NOT NULL, Name STRING(MAX), Age INT64) PRIMARY KEY (UserId)",
				"CREATE CHANGE STREAM StreamAll FOR ALL",
				"CREATE CHANGE STREAM StreamUsers FOR Users OPTIONS (value_capture_type = 'NEW_VALUES')",
			},
			PostgreSQL: {
				`CREATE TABLE "Accounts" ("AccountId" bigint NOT NULL, "Country" varchar, "Year" bigint, PRIMARY KEY ("AccountId"))`,
				`CREATE TABLE "Users" ("UserId" bigint NOT NULL, "Name" varchar, "Age" bigint, PRIMARY KEY ("UserId"))`,
				`CREATE CHANGE STREAM "StreamAll" FOR ALL`,
				`CREATE CHANGE STREAM "StreamUsers" FOR "Users" WITH (value_capture_type = 'NEW_VALUES')`,
			},
		},
	}
}

// schemaExclusion has one stream for each excluded mod type.
func schemaExclusion() *Schema {
	return &Schema{
		Name:   "exclusion",
		Tables: []string{"Users"},
		DDL: map[Dialect][]string{
			GoogleSQL: {
				"CREATE TABLE Users (UserId INT64 NOT NULL, Name STRING(MAX), Age INT64) PRIMARY KEY (UserId)",
				"CREATE TABLE Accounts (UserId INT64 NOT NULL, AccountId INT64 NOT NULL, Balance INT64) PRIMARY KEY (UserId, AccountId), INTERLEAVE IN PARENT Users ON DELETE CASCADE",
				"CREATE CHANGE STREAM Stream1 FOR ALL OPTIONS (value_capture_type = 'NEW_VALUES', exclude_insert = true)",
				"CREATE CHANGE STREAM Stream2 FOR ALL OPTIONS (value_capture_type = 'NEW_VALUES', exclude_update = true)",
				"CREATE CHANGE STREAM Stream3 FOR ALL OPTIONS (value_capture_type = 'NEW_VALUES', exclude_delete = true)",
			},
			PostgreSQL: {
				`CREATE TABLE "Users" ("UserId" bigint NOT NULL, "Name" varchar, "Age" bigint, PRIMARY KEY ("UserId"))`,
				`CREATE TABLE "Accounts" ("UserId" bigint NOT NULL, "AccountId" bigint NOT NULL, "Balance" bigint, PRIMARY KEY ("UserId", "AccountId")) INTERLEAVE IN PARENT "Users" ON DELETE CASCADE`,
				`CREATE CHANGE STREAM "Stream1" FOR ALL WITH (value_capture_type = 'NEW_VALUES', exclude_insert = true)`,
				`CREATE CHANGE STREAM "Stream2" FOR ALL WITH (value_capture_type = 'NEW_VALUES', exclude_update = true)`,
				`CREATE CHANGE STREAM "Stream3" FOR ALL WITH (value_capture_type = 'NEW_VALUES', exclude_delete = true)`,
			},
		},
	}
}

// schemaPG is section F: the types of the PostgreSQL dialect.
func schemaPG() *Schema {
	return &Schema{
		Name:   "pgtypes",
		Tables: []string{"scalar_types_table", "all_keys", "t"},
		DDL: map[Dialect][]string{PostgreSQL: {
			`CREATE TABLE scalar_types_table (int_val bigint NOT NULL, bool_val boolean, bytes_val bytea, date_val date, double_val double precision,
			 string_val varchar, timestamp_val timestamptz, jsonb_val jsonb, jsonb_arr jsonb[], numeric_val numeric, numeric_arr numeric[], float_val real,
			 PRIMARY KEY (int_val))`,
			`CREATE TABLE all_keys (int_val bigint NOT NULL, bool_val boolean, bytes_val bytea, date_val date, double_val double precision,
			 string_val varchar, timestamp_val timestamptz, PRIMARY KEY (int_val, bool_val, bytes_val, date_val, double_val, string_val, timestamp_val))`,
			`CREATE TABLE t (id bigint NOT NULL, a varchar, b boolean, n numeric, f double precision, ts timestamptz, j jsonb, arr bigint[], PRIMARY KEY (id))`,
			`CREATE CHANGE STREAM "StreamAll" FOR ALL WITH (value_capture_type = 'NEW_VALUES')`,
			`CREATE CHANGE STREAM "StreamRow" FOR t WITH (value_capture_type = 'NEW_ROW_AND_OLD_VALUES')`,
		}},
	}
}

// schemaGrouping is section G.
func schemaGrouping() *Schema {
	return &Schema{
		Name:   "grouping",
		Tables: []string{"T1", "T2", "Floats"},
		DDL: map[Dialect][]string{
			GoogleSQL: {
				"CREATE TABLE T1 (Id INT64 NOT NULL, A STRING(MAX), B STRING(MAX)) PRIMARY KEY (Id)",
				"CREATE TABLE T2 (Id INT64 NOT NULL, A STRING(MAX)) PRIMARY KEY (Id)",
				"CREATE TABLE Floats (Id INT64 NOT NULL, float_col FLOAT32, double_col FLOAT64, float_arr ARRAY<FLOAT32>, double_arr ARRAY<FLOAT64>) PRIMARY KEY (Id)",
				"CREATE CHANGE STREAM StreamAll FOR ALL OPTIONS (value_capture_type = 'NEW_VALUES')",
				"CREATE CHANGE STREAM StreamA FOR T1(A) OPTIONS (value_capture_type = 'NEW_VALUES')",
				"CREATE CHANGE STREAM StreamT2 FOR T2 OPTIONS (value_capture_type = 'NEW_VALUES')",
			},
			PostgreSQL: {
				`CREATE TABLE "T1" ("Id" bigint NOT NULL, "A" varchar, "B" varchar, PRIMARY KEY ("Id"))`,
				`CREATE TABLE "T2" ("Id" bigint NOT NULL, "A" varchar, PRIMARY KEY ("Id"))`,
				`CREATE TABLE "Floats" ("Id" bigint NOT NULL, "float_col" real, "double_col" double precision, "float_arr" real[], "double_arr" double precision[], PRIMARY KEY ("Id"))`,
				`CREATE CHANGE STREAM "StreamAll" FOR ALL WITH (value_capture_type = 'NEW_VALUES')`,
				`CREATE CHANGE STREAM "StreamA" FOR "T1"("A") WITH (value_capture_type = 'NEW_VALUES')`,
				`CREATE CHANGE STREAM "StreamT2" FOR "T2" WITH (value_capture_type = 'NEW_VALUES')`,
			},
		},
	}
}

// schemaValues is section N: values that Google's emulator gets wrong.
func schemaValues() *Schema {
	return &Schema{
		Name:   "values",
		Tables: []string{"V", "Docs"},
		DDL: map[Dialect][]string{GoogleSQL: {
			`CREATE TABLE V (Id INT64 NOT NULL, F FLOAT64, Ints ARRAY<INT64>, Strings ARRAY<STRING(MAX)>, Bools ARRAY<BOOL>, Floats ARRAY<FLOAT64>,
			 Times ARRAY<TIMESTAMP>, Blobs ARRAY<BYTES(MAX)>, Made TIMESTAMP OPTIONS (allow_commit_timestamp = true), Data BYTES(MAX), N NUMERIC) PRIMARY KEY (Id)`,
			"CREATE TABLE Docs (Id INT64 NOT NULL, Body STRING(MAX), Tokens TOKENLIST AS (TOKENIZE_FULLTEXT(Body)) HIDDEN) PRIMARY KEY (Id)",
			"CREATE CHANGE STREAM StreamV FOR V OPTIONS (value_capture_type = 'NEW_VALUES')",
			"CREATE CHANGE STREAM StreamAll FOR ALL OPTIONS (value_capture_type = 'NEW_VALUES')",
		}},
	}
}
