package checkpoint

import (
	"strings"

	"github.com/spancast/spancast/changestream"
)

// Tables are the names of the metadata tables.
type Tables struct{ Partitions, Replicas, Keys string }

// TablesOf returns the names that go with a prefix.
func TablesOf(prefix string) Tables {
	return Tables{Partitions: prefix + "Partitions", Replicas: prefix + "Replicas", Keys: prefix + "Keys"}
}

// All lists the names.
func (t Tables) All() []string { return []string{t.Partitions, t.Replicas, t.Keys} }

// googleDDL and postgresDDL are templates; Prefix stands for the prefix.
//
// Partitions are keyed by their token, which is random, so that no part of the
// table is hot; no index is kept on columns that change. Finished rows are
// removed by the service, which knows when no child needs them; a row deletion
// policy would not.
var googleDDL = []string{
	`CREATE TABLE PrefixPartitions (
  ChangeStream STRING(MAX) NOT NULL,
  Token STRING(MAX) NOT NULL,
  Parents ARRAY<STRING(MAX)> NOT NULL,
  StartTimestamp TIMESTAMP NOT NULL,
  EndTimestamp TIMESTAMP,
  State STRING(16) NOT NULL,
  Position TIMESTAMP NOT NULL,
  Owner STRING(64) NOT NULL,
  LeaseEpoch INT64 NOT NULL,
  LeaseExpiry TIMESTAMP,
  CreatedAt TIMESTAMP NOT NULL,
  FinishedAt TIMESTAMP,
  MovedAt TIMESTAMP,
  MovedTo ARRAY<STRING(MAX)>
) PRIMARY KEY (ChangeStream, Token)`,
	`CREATE TABLE PrefixReplicas (
  ChangeStream STRING(MAX) NOT NULL,
  ReplicaId STRING(64) NOT NULL,
  Epoch STRING(16) NOT NULL,
  Endpoints ARRAY<STRING(MAX)> NOT NULL,
  Capacity INT64 NOT NULL,
  LastSeen TIMESTAMP NOT NULL
) PRIMARY KEY (ChangeStream, ReplicaId)`,
	`CREATE TABLE PrefixKeys (
  PublicKey STRING(40) NOT NULL,
  Identity STRING(MAX) NOT NULL,
  Audiences ARRAY<STRING(MAX)> NOT NULL,
  TopicPrefixes ARRAY<STRING(MAX)> NOT NULL,
  TableNames ARRAY<STRING(MAX)> NOT NULL,
  CreatedAt TIMESTAMP NOT NULL,
  ExpiresAt TIMESTAMP NOT NULL
) PRIMARY KEY (PublicKey), ROW DELETION POLICY (OLDER_THAN(ExpiresAt, INTERVAL 1 DAY))`,
}

var postgresDDL = []string{
	`CREATE TABLE "PrefixPartitions" (
  "ChangeStream" varchar NOT NULL,
  "Token" varchar NOT NULL,
  "Parents" varchar[] NOT NULL,
  "StartTimestamp" timestamptz NOT NULL,
  "EndTimestamp" timestamptz,
  "State" varchar(16) NOT NULL,
  "Position" timestamptz NOT NULL,
  "Owner" varchar(64) NOT NULL,
  "LeaseEpoch" bigint NOT NULL,
  "LeaseExpiry" timestamptz,
  "CreatedAt" timestamptz NOT NULL,
  "FinishedAt" timestamptz,
  "MovedAt" timestamptz,
  "MovedTo" varchar[],
  PRIMARY KEY ("ChangeStream", "Token")
)`,
	`CREATE TABLE "PrefixReplicas" (
  "ChangeStream" varchar NOT NULL,
  "ReplicaId" varchar(64) NOT NULL,
  "Epoch" varchar(16) NOT NULL,
  "Endpoints" varchar[] NOT NULL,
  "Capacity" bigint NOT NULL,
  "LastSeen" timestamptz NOT NULL,
  PRIMARY KEY ("ChangeStream", "ReplicaId")
)`,
	`CREATE TABLE "PrefixKeys" (
  "PublicKey" varchar(40) NOT NULL,
  "Identity" varchar NOT NULL,
  "Audiences" varchar[] NOT NULL,
  "TopicPrefixes" varchar[] NOT NULL,
  "TableNames" varchar[] NOT NULL,
  "CreatedAt" timestamptz NOT NULL,
  "ExpiresAt" timestamptz NOT NULL,
  PRIMARY KEY ("PublicKey")
) TTL INTERVAL '1 days' ON "ExpiresAt"`,
}

// DDL returns the statements that create the metadata tables, in the order of
// Tables.All.
func DDL(prefix string, dialect changestream.Dialect) []string {
	templates := googleDDL
	if dialect == changestream.PostgreSQL {
		templates = postgresDDL
	}
	out := make([]string, len(templates))
	for i, s := range templates {
		out[i] = strings.Replace(s, "Prefix", prefix, 1)
	}
	return out
}

// A Column is one that tables of earlier versions do not have.
type Column struct{ Table, Name, Type string }

// Added returns the columns that were added to the metadata tables since their
// first version.
func Added(prefix string, dialect changestream.Dialect) []Column {
	t, timestamp, texts := TablesOf(prefix), "TIMESTAMP", "ARRAY<STRING(MAX)>"
	if dialect == changestream.PostgreSQL {
		timestamp, texts = "timestamptz", "varchar[]"
	}
	return []Column{{t.Partitions, "MovedAt", timestamp}, {t.Partitions, "MovedTo", texts}}
}

// DDL is the statement that adds the column; it may be there already.
func (c Column) DDL(dialect changestream.Dialect) string {
	table, name := c.Table, c.Name
	if dialect == changestream.PostgreSQL {
		table, name = quote(table), quote(name)
	}
	return "ALTER TABLE " + table + " ADD COLUMN IF NOT EXISTS " + name + " " + c.Type
}

// Grants returns the statements that give a database role what the service
// needs of the source with fine-grained access control: reading the stream takes
// two grants, of which one is on its read function.
func Grants(info changestream.Info, role string) []string {
	if info.Dialect == changestream.PostgreSQL {
		role = quote(role)
		function := "read_json_"
		if info.MutableKeyRange {
			function = "read_proto_bytes_"
		}
		return []string{
			`CREATE ROLE ` + role,
			`GRANT SELECT ON CHANGE STREAM ` + quote(info.Stream) + ` TO ` + role,
			`GRANT EXECUTE ON FUNCTION spanner.` + quote(function+info.Stream) + ` TO ` + role,
		}
	}
	return []string{
		"CREATE ROLE " + role,
		"GRANT SELECT ON CHANGE STREAM " + info.Stream + " TO ROLE " + role,
		"GRANT EXECUTE ON TABLE FUNCTION READ_" + info.Stream + " TO ROLE " + role,
	}
}

// TableGrants returns the statement that gives a role the metadata tables. In a
// database of their own the role has to be created there too.
func TableGrants(prefix string, dialect changestream.Dialect, role string, create bool) (out []string) {
	t, to := TablesOf(prefix), " TO ROLE "
	tables := t.All()
	if dialect == changestream.PostgreSQL {
		role, to = quote(role), " TO "
		for i := range tables {
			tables[i] = quote(tables[i])
		}
	}
	if create {
		out = append(out, "CREATE ROLE "+role)
	}
	return append(out, "GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE "+strings.Join(tables, ", ")+to+role)
}

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
