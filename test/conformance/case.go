package conformance

import (
	"cloud.google.com/go/spanner"
	"google.golang.org/grpc/codes"
)

// Dialect of a database.
type Dialect string

// The two dialects.
const (
	GoogleSQL  Dialect = "GoogleSQL"
	PostgreSQL Dialect = "PostgreSQL"
)

// Kind says whose rules a server follows.
type Kind string

// Production stands for Cloud Spanner and for servers that follow it; Google
// for Google's emulator with its known differences.
const (
	Production Kind = "production"
	Google     Kind = "google"
)

// Text is one statement in both dialects; an empty member means that the
// statement has no form in that dialect.
type Text map[Dialect]string

// Schema is the database that a group of cases shares.
type Schema struct {
	Name   string
	DDL    map[Dialect][]string
	Tables []string // emptied before each case, in this order
}

// Case is one row of the table: what is done and what must be recorded.
type Case struct {
	ID       int
	Name     string
	Schema   *Schema
	Dialects []Dialect
	Alter    []Text       // DDL before the set-up
	Restore  []Text       // DDL after the case, so that the next one finds what it expects
	Setup    []Txn        // committed before the transactions under test
	Txns     []Txn        // under test
	Tag      string       // transaction tag of the transactions under test
	Code     codes.Code   // what the last transaction under test must end with
	Want     []StreamWant // production's records
	AnyOrder bool         // the order of the records within a transaction is free
	Google   *Difference  // what Google's emulator does instead; nil: the same
}

// Txn is the operations of one transaction.
type Txn []Op

// StreamWant is what one change stream must record: for each transaction
// under test its records in the order of their sequences. In the JSON of mods
// "$COMMIT" stands for the commit timestamp.
type StreamWant struct {
	Stream  string
	Records [][]Record
}

// Difference is a known deviation of Google's emulator.
type Difference struct {
	Reason   string       // what it does
	Rule     string       // the production rule that Want follows
	Want     []StreamWant // what it records; nil: the case is not run there
	AnyOrder bool         // in any order
}

// Op is one operation of a transaction: a mutation or a DML statement.
type Op struct {
	mutation *spanner.Mutation
	dml      Text
}

func insert(table string, pairs ...any) Op {
	columns, values := split(pairs)
	return Op{mutation: spanner.Insert(table, columns, values)}
}

func update(table string, pairs ...any) Op {
	columns, values := split(pairs)
	return Op{mutation: spanner.Update(table, columns, values)}
}

func upsert(table string, pairs ...any) Op {
	columns, values := split(pairs)
	return Op{mutation: spanner.InsertOrUpdate(table, columns, values)}
}

func replace(table string, pairs ...any) Op {
	columns, values := split(pairs)
	return Op{mutation: spanner.Replace(table, columns, values)}
}

// remove deletes rows by single-column keys.
func remove(table string, keys ...any) Op {
	set := spanner.KeySets()
	for _, key := range keys {
		set = spanner.KeySets(set, spanner.Key{key})
	}
	return Op{mutation: spanner.Delete(table, set)}
}

// dml is a statement in GoogleSQL and in PostgreSQL.
func dml(googleSQL, postgreSQL string) Op {
	return Op{dml: Text{GoogleSQL: googleSQL, PostgreSQL: postgreSQL}}
}

func split(pairs []any) (columns []string, values []any) {
	for i := 0; i+1 < len(pairs); i += 2 {
		columns = append(columns, pairs[i].(string))
		values = append(values, pairs[i+1])
	}
	return columns, values
}

// on is the usual expectation: the records of one transaction in one stream.
func on(stream string, records ...Record) StreamWant {
	return StreamWant{Stream: stream, Records: [][]Record{records}}
}

// rec is a record of the table notation: columns as in columns.
func rec(modType, table, capture, cols string, mods ...Mod) Record {
	return Record{ModType: modType, Table: table, CaptureType: capture, Columns: columns(cols), Mods: mods}
}

// The value capture types.
const (
	oldAndNew    = "OLD_AND_NEW_VALUES"
	newValues    = "NEW_VALUES"
	newRow       = "NEW_ROW"
	newRowAndOld = "NEW_ROW_AND_OLD_VALUES"
)

// capture alters a stream's value capture type.
func capture(stream, to string) Text {
	return Text{
		GoogleSQL:  "ALTER CHANGE STREAM " + stream + " SET OPTIONS (value_capture_type = '" + to + "')",
		PostgreSQL: `ALTER CHANGE STREAM "` + stream + `" SET (value_capture_type = '` + to + `')`,
	}
}

// Cases returns all data-record cases in the order in which they must be run.
func Cases() []Case {
	var all []Case
	for _, section := range [][]Case{
		singleCases(), keyOnlyCases(), scalarCases(), dmlCases(), combinedCases(), replaceCases(), layoutCases(),
		schemaChangeCases(), watchedColumnCases(), exclusionCases(), pgTypeCases(), groupingCases(), valueCases(),
	} {
		all = append(all, section...)
	}
	return all
}
