package emulator_test

import (
	"slices"
	"strings"
	"testing"

	"cloud.google.com/go/spanner/admin/database/apiv1/databasepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/spancast/spancast/emulator"
)

// sqlCase is a query and its rows, "a|b" each, joined by spaces; "!" and a text
// stand for an error that contains it.
type sqlCase struct{ sql, want string }

func runSQL(t *testing.T, f *fixture, cases []sqlCase, params map[string]any) {
	t.Helper()
	for _, c := range cases {
		rows, err := f.texts(t, c.sql, params)
		got := strings.Join(rows, " ")
		if fault, ok := strings.CutPrefix(c.want, "!"); ok {
			if err == nil || !strings.Contains(err.Error(), fault) || status.Code(err) == codes.Internal {
				t.Errorf("%s\ngot  %s %v\nwant an error with %q", c.sql, got, err, fault)
			}
			continue
		}
		if err != nil || got != c.want {
			t.Errorf("%s\ngot  %s %v\nwant %s", c.sql, got, err, c.want)
		}
	}
}

func TestSQL_Expressions(t *testing.T) {
	f := start(t, emulator.Options{}, emulator.GoogleSQL)
	runSQL(t, f, []sqlCase{
		{"SELECT 1 + 2 * 3, 7 / 2, DIV(7, 2), MOD(-7, 3)", "7|3.5|3|-1"},
		{"SELECT 9223372036854775807 + 1", "!overflow"},
		{"SELECT 1 / 0", "!division by zero"},
		{"SELECT NULL = NULL, NULL IS NULL, NOT TRUE, TRUE AND NULL, FALSE AND NULL, TRUE OR NULL", "<nil>|true|false|<nil>|false|true"},
		{"SELECT 2 BETWEEN 1 AND 3, 2 IN (1, 2), 5 NOT IN (1, NULL), 'a' LIKE 'A%', 'ab' LIKE 'a_'", "true|true|<nil>|false|true"},
		{"SELECT CASE WHEN 1 > 2 THEN 'a' ELSE 'b' END, CASE 3 WHEN 3 THEN 'x' END, IF(TRUE, 1, 2), IFNULL(NULL, 5), COALESCE(NULL, NULL, 6), NULLIF(1, 1)", "b|x|1|5|6|<nil>"},
		{"SELECT CAST('12' AS INT64), CAST(1.5 AS INT64), CAST(TRUE AS STRING), SAFE_CAST('x' AS INT64), CAST('2024-01-02' AS DATE)", "12|2|true|<nil>|2024-01-02"},
		{"SELECT CAST('x' AS INT64)", "!Bad int64"},
		{"SELECT UPPER('aé'), LENGTH('aé'), SUBSTR('hello', 2, 3), SUBSTR('hello', -2), CONCAT('a', 'b', 'c'), 'a' || 'b'", "AÉ|2|ell|lo|abc|ab"},
		{"SELECT TRIM('  x '), STARTS_WITH('abc', 'ab'), REPLACE('aXa', 'X', '-'), STRPOS('abc', 'c'), REVERSE('abc'), LPAD('7', 3, '0')", "x|true|a-a|3|cba|007"},
		{"SELECT REGEXP_CONTAINS('abc', 'b+'), REGEXP_EXTRACT('a1b22', '[0-9]+'), REGEXP_REPLACE('a1b2', '[0-9]', '#')", "true|1|a#b#"},
		{"SELECT ABS(-3), SIGN(-2.5), ROUND(2.567, 2), FLOOR(-1.5), CEIL(1.2), GREATEST(1, 3, 2), LEAST(2, 1)", "3|-1|2.57|-2|2|3|1"},
		{"SELECT ROUND(NUMERIC '2.5'), TRUNC(NUMERIC '-2.59', 1), NUMERIC '1.1' + 2, NUMERIC '1' / NUMERIC '3'", "3|-2.5|3.1|0.333333333"},
		{"SELECT TIMESTAMP '2024-03-01 12:34:56.789Z', DATE '2024-02-29', TIMESTAMP_ADD(TIMESTAMP '2024-01-31 00:00:00Z', INTERVAL 2 DAY)", "2024-03-01T12:34:56.789Z|2024-02-29|2024-02-02T00:00:00Z"},
		{"SELECT DATE_ADD(DATE '2024-01-31', INTERVAL 1 MONTH), DATE_DIFF(DATE '2024-03-01', DATE '2024-02-01', DAY), TIMESTAMP_TRUNC(TIMESTAMP '2024-03-05 12:34:56Z', HOUR)", "2024-02-29|29|2024-03-05T12:00:00Z"},
		{"SELECT EXTRACT(YEAR FROM DATE '2024-02-29'), EXTRACT(DAYOFWEEK FROM DATE '2024-02-29'), UNIX_SECONDS(TIMESTAMP '1970-01-01 00:01:00Z'), FORMAT_TIMESTAMP('%Y/%m', TIMESTAMP '2024-03-01 00:00:00Z')", "2024|5|60|2024/03"},
		{`SELECT JSON_VALUE(JSON '{"a":{"b":[1,"x"]}}', '$.a.b[1]'), JSON_QUERY(JSON '{"b":2,"a":1}', '$'), JSON '{"a":5}'.a, TO_JSON_STRING([1,2])`, `x|{"a":1,"b":2}|5|[1,2]`},
		{"SELECT [1, 2, 3][OFFSET(0)], [1, 2][SAFE_OFFSET(5)], ARRAY_LENGTH([1, 2]), ARRAY_TO_STRING(['a', 'b'], '-'), 2 IN UNNEST([1, 2])", "1|<nil>|2|a-b|true"},
		{"SELECT [1][OFFSET(3)]", "!out of bounds"},
		{"SELECT STRUCT(1 AS a, 'x' AS b).b, ARRAY(SELECT x * 2 FROM UNNEST([1, 2]) AS x), (SELECT 5), EXISTS(SELECT 1 FROM UNNEST([1]))", "x|[2 4]|5|true"},
		{"SELECT TO_BASE64(b'abc'), TO_HEX(FROM_HEX('00ff')), TO_HEX(MD5('')), BYTE_LENGTH('é')", "YWJj|00ff|d41d8cd98f00b204e9800998ecf8427e|2"},
		{"SELECT 5 & 3, 5 | 3, 5 ^ 3, ~5, 1 << 4, -1 >> 60", "1|7|6|-6|16|15"},
		{"SELECT NO_SUCH_FUNCTION(1)", "!Function not found: NO_SUCH_FUNCTION"},
		{"SELECT TO_JSON_STRING(STRUCT(1 AS a))", "!not supported"},
		{"SELECT SAFE.SUBSTR('a', 1, -1), GENERATE_ARRAY(1, 7, 3)", "<nil>|[1 4 7]"},
		{"SELECT nothing", "!Unrecognized name"},
		{"SELECT NO_SUCH_FUNCTION(1)", "!Function not found"},
		{"SELECT 'a' + 1", "!"}, {"SELECT", "!Syntax error"}, {"SELECT 1 FROM Nothing", "!Table not found"},
		{"SELECT @missing", "!No parameter"},
	}, nil)
}

var shopDDL = []string{
	"CREATE TABLE Customers (Id INT64 NOT NULL, Name STRING(MAX), City STRING(MAX)) PRIMARY KEY (Id)",
	"CREATE TABLE Orders (Id INT64 NOT NULL, Num INT64 NOT NULL, Total NUMERIC, Tags ARRAY<STRING(MAX)>) PRIMARY KEY (Id, Num), INTERLEAVE IN PARENT Customers ON DELETE CASCADE",
}

func (f *fixture) exec(t *testing.T, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if err := f.dml(t, statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

func TestSQL_Queries(t *testing.T) {
	f := start(t, emulator.Options{}, emulator.GoogleSQL, shopDDL...)
	f.exec(t, "INSERT INTO Customers (Id, Name, City) VALUES (1, 'Ann', 'Rome'), (2, 'Bob', 'Rome'), (3, 'Cid', NULL)",
		"INSERT INTO Orders (Id, Num, Total, Tags) VALUES (1, 1, 10, ['a', 'b']), (1, 2, 2.5, []), (2, 1, 7, ['b'])")
	runSQL(t, f, []sqlCase{
		{"SELECT Name FROM Customers ORDER BY Name DESC", "Cid Bob Ann"},
		{"SELECT * FROM Customers WHERE Id = @id", "2|Bob|Rome"},
		{"SELECT c.Name, o.Total FROM Customers AS c JOIN Orders AS o ON c.Id = o.Id ORDER BY o.Total", "Ann|2.5 Bob|7 Ann|10"},
		{"SELECT c.Name, o.Num FROM Customers c LEFT JOIN Orders o ON c.Id = o.Id AND o.Num = 1 ORDER BY 1", "Ann|1 Bob|1 Cid|<nil>"},
		{"SELECT c.Name, o.Num FROM Orders o RIGHT JOIN Customers c ON c.Id = o.Id AND o.Num = 2 ORDER BY c.Id", "Ann|2 Bob|<nil> Cid|<nil>"},
		{"SELECT Id, Name, Num FROM Customers JOIN Orders USING (Id) WHERE Num = 2", "1|Ann|2"},
		{"SELECT City, COUNT(*), MIN(Name) FROM Customers GROUP BY City ORDER BY City", "<nil>|1|Cid Rome|2|Ann"},
		{"SELECT City, COUNT(*) AS n FROM Customers GROUP BY 1 HAVING n > 1", "!Unrecognized name"},
		{"SELECT City, COUNT(*) AS n FROM Customers GROUP BY 1 HAVING COUNT(*) > 1", "Rome|2"},
		{"SELECT COUNT(DISTINCT City), SUM(Total), AVG(Num), ARRAY_AGG(Num) FROM Customers c JOIN Orders o ON o.Id = c.Id", "1|19.5|1.3333333333333333|[1 2 1]"},
		{"SELECT COUNT(*), MAX(Id), SUM(Id) FROM Customers WHERE Id > 100", "0|<nil>|<nil>"},
		{"SELECT City, Name FROM Customers GROUP BY City", "!neither grouped nor aggregated"},
		{"SELECT DISTINCT City FROM Customers ORDER BY City", "<nil> Rome"},
		{"SELECT tag, COUNT(*) FROM Orders, UNNEST(Tags) AS tag GROUP BY tag ORDER BY tag", "a|1 b|2"},
		{"SELECT Name FROM Customers WHERE Id IN (SELECT Id FROM Orders WHERE Total > 5) ORDER BY Name", "Ann Bob"},
		{"SELECT Name, (SELECT SUM(Total) FROM Orders o WHERE o.Id = c.Id) FROM Customers c ORDER BY Id", "Ann|12.5 Bob|7 Cid|<nil>"},
		{"SELECT Name FROM Customers c WHERE EXISTS (SELECT 1 FROM Orders o WHERE o.Id = c.Id AND o.Num = 2)", "Ann"},
		{"WITH big AS (SELECT Id FROM Orders WHERE Total > 5) SELECT COUNT(*) FROM big JOIN big AS other ON big.Id = other.Id", "2"},
		{"SELECT Id FROM Customers UNION ALL SELECT Num FROM Orders ORDER BY 1 LIMIT 3 OFFSET 1", "1 1 2"},
		{"SELECT Id FROM Customers EXCEPT DISTINCT SELECT Id FROM Orders", "3"},
		{"SELECT Id FROM Customers INTERSECT DISTINCT SELECT Num FROM Orders", "1 2"},
		{"SELECT Id FROM Customers LIMIT 0", ""},
		{"SELECT Id FROM Customers LIMIT @id", "1 2"},
		{"SELECT x, off FROM UNNEST(['a', 'b']) AS x WITH OFFSET AS off", "a|0 b|1"},
		{"SELECT s.a FROM UNNEST([STRUCT(1 AS a), STRUCT(2)]) AS s", "1 2"},
		{"SELECT AS STRUCT 1 AS a, 'x' AS b", "[1 x]"},
		{"SELECT table_name FROM information_schema.tables WHERE parent_table_name = 'Customers'", "Orders"},
		{"SELECT column_name, spanner_type FROM information_schema.columns WHERE table_name = 'Orders' AND ordinal_position > 2", "Total|NUMERIC Tags|ARRAY<STRING(MAX)>"},
		{"SELECT Name FROM Customers WHERE Nothing = 1", "!Unrecognized name"},
		{"SELECT Id FROM Customers c, Orders o", "!ambiguous"},
		{"SELECT (SELECT Id FROM Customers)", "!more than one element"},
	}, map[string]any{"id": 2})
}

func TestSQL_DML(t *testing.T) {
	f := start(t, emulator.Options{}, emulator.GoogleSQL, shopDDL...)
	for _, c := range []struct {
		sql   string
		rows  string
		after string // of Customers
	}{
		{"INSERT INTO Customers (Id, Name) VALUES (1, 'Ann') THEN RETURN Id, Name", "1|Ann", "1|Ann|<nil>"},
		{"INSERT OR IGNORE INTO Customers (Id, Name) VALUES (1, 'other')", "", "1|Ann|<nil>"},
		{"INSERT OR UPDATE INTO Customers (Id, City) VALUES (1, 'Rome'), (2, 'Oslo')", "", "1|Ann|Rome 2|<nil>|Oslo"},
		{"UPDATE Customers SET Name = CONCAT(IFNULL(Name, '?'), '!'), City = DEFAULT WHERE Id <= 2 THEN RETURN Name", "Ann! ?!", "1|Ann!|<nil> 2|?!|<nil>"},
		{"INSERT INTO Customers (Id, Name) SELECT Id + 10, Name FROM Customers", "", "1|Ann!|<nil> 2|?!|<nil> 11|Ann!|<nil> 12|?!|<nil>"},
		{"DELETE FROM Customers WHERE Id > 1 THEN RETURN Id", "2 11 12", "1|Ann!|<nil>"},
	} {
		rows, err := f.returning(t, c.sql)
		if got := strings.Join(rows, " "); err != nil || got != c.rows {
			t.Errorf("%s: got %s %v, want %s", c.sql, got, err, c.rows)
		}
		if after, _ := f.texts(t, "SELECT * FROM Customers", nil); strings.Join(after, " ") != c.after {
			t.Errorf("%s: then %v, want %s", c.sql, after, c.after)
		}
	}
	for sql, code := range map[string]codes.Code{
		"INSERT INTO Customers (Id) VALUES (1)":              codes.AlreadyExists,
		"INSERT INTO Customers (Id, Id) VALUES (5, 5)":       codes.InvalidArgument,
		"INSERT INTO Customers (Id) VALUES ('x')":            codes.InvalidArgument,
		"INSERT INTO Customers (Id) VALUES (7.5)":            codes.InvalidArgument,
		"UPDATE Customers SET Id = 5 WHERE Id = 1":           codes.InvalidArgument,
		"UPDATE Customers SET Name = 5 WHERE Id = 1":         codes.InvalidArgument,
		"INSERT INTO Orders (Id, Num) VALUES (99, 1)":        codes.NotFound,
		"INSERT INTO Customers (Id, Name) VALUES (NULL, '')": codes.FailedPrecondition,
	} {
		if _, err := f.returning(t, sql); status.Code(err) != code {
			t.Errorf("%s: got %v, want %v", sql, err, code)
		}
	}
}

func TestSQL_PostgreSQL(t *testing.T) {
	f := start(t, emulator.Options{}, emulator.PostgreSQL,
		`CREATE TABLE customers (id bigint NOT NULL, name varchar(40) DEFAULT 'nobody'::varchar, "City" text, born timestamptz, tags text[], doc jsonb, PRIMARY KEY (id))`,
		`CREATE INDEX by_name ON customers (name) INCLUDE ("City")`)
	for _, c := range []struct{ sql, rows string }{
		{`INSERT INTO customers (id, "City", tags, doc) VALUES (1, 'Rome', array['a','b'], '{"b": 1, "a": [2]}'::jsonb) RETURNING id, name`, "1|nobody"},
		{`INSERT INTO customers (id, name) VALUES (1, 'x'), (2, 'O''Brien') ON CONFLICT (id) DO UPDATE SET name = excluded.name RETURNING id, name`, "1|x 2|O'Brien"},
		{`INSERT INTO customers (id) VALUES (1) ON CONFLICT (id) DO NOTHING`, ""},
		{`UPDATE customers SET born = '2024-01-02 03:04:05+00'::timestamptz WHERE id = 2 RETURNING born`, "2024-01-02T03:04:05Z"},
	} {
		rows, err := f.returning(t, c.sql)
		if got := strings.Join(rows, " "); err != nil || got != c.rows {
			t.Errorf("%s: got %s %v, want %s", c.sql, got, err, c.rows)
		}
	}
	runSQL(t, f, []sqlCase{
		{`SELECT ID, NAME FROM Customers ORDER BY id`, "1|x 2|O'Brien"},
		{`SELECT "City" FROM customers WHERE id = $1`, "Rome"},
		{`SELECT City FROM customers`, "!Unrecognized name"},
		{`SELECT id FROM customers WHERE name = ANY($2) ORDER BY id DESC`, "2 1"},
		{`SELECT doc, tags FROM customers WHERE id = 1`, `{"a": [2], "b": 1}|[a b]`},
		{`SELECT CAST(id AS text), id::varchar || '!', count(*) FROM customers GROUP BY id ORDER BY id LIMIT 1`, "1|1!|1"},
		{`SELECT coalesce("City", 'none') FROM customers ORDER BY "City"`, "Rome none"},
		{`SELECT extract(year FROM born) FROM customers WHERE born IS NOT NULL`, "2024"},
		{`SELECT lower('ABC'), length('abc'), true AND false, 1 <> 2`, "abc|3|false|true"},
		{`SELECT 7/2, -7/2, 7.0/2, '\x00ff'::bytea, CAST('ab' AS bytea)`, "3|-3|3.5|AP8=|YWI="},
		{`SELECT n.count, n."?column?", n.lower FROM (SELECT count(*), 1, lower('A')) AS n`, "1|1|a"},
		{`SELECT 1/0`, "!division by zero"},
		{`SELECT 1 -> 2`, "!not supported"},
		{`SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'`, "customers"},
	}, map[string]any{"p1": 1, "p2": []string{"x", "O'Brien"}})
	if err := f.dml(t, `DELETE FROM customers`); err != nil {
		t.Error(err)
	}
}

func TestDDL_PrintsBack(t *testing.T) {
	for d, ddl := range map[emulator.Dialect][]string{
		emulator.GoogleSQL: {
			"CREATE TABLE Parent (\n  Id INT64 NOT NULL,\n  Name STRING(10) DEFAULT (\"x\"),\n  Low STRING(MAX) AS (LOWER(Name)) STORED,\n  Made TIMESTAMP OPTIONS (\n    allow_commit_timestamp = true\n  ),\n  CONSTRAINT Short CHECK (LENGTH(Name) < 10)\n) PRIMARY KEY(Id DESC)",
			"CREATE UNIQUE INDEX ByName ON Parent(Name) STORING (Made)",
			"CREATE TABLE Child (\n  Id INT64 NOT NULL,\n  Num INT64 NOT NULL\n) PRIMARY KEY(Id DESC, Num), INTERLEAVE IN PARENT Parent ON DELETE CASCADE",
			"CREATE CHANGE STREAM S\n  FOR Parent(Name), Child\n  OPTIONS ( retention_period = '36h', exclude_insert = true )",
		},
		emulator.PostgreSQL: {
			"CREATE TABLE parent (\n  id bigint NOT NULL,\n  name character varying(10) DEFAULT 'x'::varchar,\n  \"Low\" character varying GENERATED ALWAYS AS (lower(name)) STORED,\n  tags character varying[],\n  PRIMARY KEY(id)\n)",
			"CREATE INDEX by_name ON parent(name DESC)",
			"CREATE CHANGE STREAM s\n  FOR parent(name)\n  WITH (retention_period = '36h')",
		},
	} {
		t.Run(string(d), func(t *testing.T) {
			f := start(t, emulator.Options{}, d, ddl...)
			if got := f.ddl(t); !slices.Equal(got, ddl) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(ddl, "\n"))
			}
			again := start(t, emulator.Options{}, d, f.ddl(t)...)
			if got := again.ddl(t); !slices.Equal(got, ddl) {
				t.Errorf("what is printed makes another schema:\n%s", strings.Join(got, "\n"))
			}
		})
	}
}

func TestDDL_Refuses(t *testing.T) {
	f := start(t, emulator.Options{}, emulator.GoogleSQL, shopDDL...)
	for sql, code := range map[string]codes.Code{
		"CREATE TABLE T (Id INT64)":                    codes.InvalidArgument,
		"CREATE TABLE T (Id INT64) PRIMARY KEY (Nope)": codes.InvalidArgument,
		"CREATE TABLE T (Id INT64) PRIMARY KEY (Id), ROW DELETION POLICY (OLDER_THAN(Ts, INTERVAL 1 DAY))": codes.InvalidArgument,
		"CREATE TABLE U (Id INT64) PRIMARY KEY (Id), INTERLEAVE IN PARENT Customers":                       codes.OK, // its key has the parent's column
		"ALTER TABLE Customers ADD COLUMN X INT64 NOT NULL":                                                codes.Unimplemented,
		"ALTER TABLE Customers ADD COLUMN Y INT64 NOT NULL DEFAULT (1)":                                    codes.OK,
		"CREATE INDEX I ON Customers(Nope)":                                                                codes.InvalidArgument,
		"CREATE VIEW V SQL SECURITY INVOKER AS SELECT 1 AS x":                                              codes.Unimplemented,
		"CREATE SEQUENCE Q OPTIONS (sequence_kind = 'bit_reversed_positive')":                              codes.Unimplemented,
		"DROP TABLE Nope": codes.NotFound,
		"CREATE TABLE Customers (Id INT64) PRIMARY KEY (Id)": codes.FailedPrecondition,
	} {
		_, err := databasepb.NewDatabaseAdminClient(f.conn).UpdateDatabaseDdl(limit(t), &databasepb.UpdateDatabaseDdlRequest{Database: database, Statements: []string{sql}})
		if status.Code(err) != code {
			t.Errorf("%s: %v, want %v", sql, err, code)
		}
	}
}
