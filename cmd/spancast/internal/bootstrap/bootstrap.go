// Package bootstrap creates what the service needs: on emulators the instance
// and the database, anywhere the metadata tables and, if asked, the change
// stream. What exists already is left as it is.
package bootstrap

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"cloud.google.com/go/spanner"
	database "cloud.google.com/go/spanner/admin/database/apiv1"
	"cloud.google.com/go/spanner/admin/database/apiv1/databasepb"
	"cloud.google.com/go/spanner/admin/instance/apiv1/instancepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/checkpoint"
	"github.com/spancast/spancast/cmd/spancast/internal/config"
	"github.com/spancast/spancast/cmd/spancast/internal/connect"
)

// Options say what to create.
type Options struct {
	Dialect changestream.Dialect // of databases that are created
	Watch   string               // what a change stream that is created watches: ALL, or tables; empty: create none
	Mutable bool                 // whether its partition_mode is MUTABLE_KEY_RANGE
	Schema  []string             // statements for a database that is created
	Out     io.Writer            // where to say what was done
}

// Run creates what is missing.
func Run(ctx context.Context, cfg *config.Loaded, o Options) error {
	source, metadata := cfg.Source(), cfg.Metadata()
	targets := []config.Target{source}
	if metadata.Database != source.Database {
		targets = append(targets, metadata)
	}
	for _, t := range targets {
		if err := connect.Reach(ctx, t); err != nil {
			return err
		}
		if t.PlainText {
			if err := o.createDatabase(ctx, t, t == source); err != nil {
				return err
			}
		}
	}
	if err := o.createTables(ctx, cfg, metadata); err != nil {
		return err
	}
	switch {
	case o.Watch != "":
		return o.createStream(ctx, cfg, source)
	case cfg.ChangeStream != "":
		return o.lookForStream(ctx, cfg, source)
	}
	return nil
}

func (o *Options) say(format string, args ...any) { fmt.Fprintf(o.Out, format+"\n", args...) }

// createDatabase creates the instance and the database of an emulator.
func (o *Options) createDatabase(ctx context.Context, t config.Target, isSource bool) error {
	if err := o.createInstance(ctx, t); err != nil {
		return err
	}
	admin, err := connect.DatabaseAdmin(ctx, t)
	if err != nil {
		return err
	}
	defer admin.Close()
	quote, dialect := "`", databasepb.DatabaseDialect_GOOGLE_STANDARD_SQL
	if o.Dialect == changestream.PostgreSQL {
		quote, dialect = `"`, databasepb.DatabaseDialect_POSTGRESQL
	}
	op, err := admin.CreateDatabase(ctx, &databasepb.CreateDatabaseRequest{
		Parent: t.Database.Instance(), CreateStatement: "CREATE DATABASE " + quote + t.Database.ID() + quote, DatabaseDialect: dialect,
	})
	if err == nil {
		_, err = op.Wait(ctx)
	}
	switch {
	case status.Code(err) == codes.AlreadyExists:
		o.say("database %s exists", t.Database)
		return nil
	case err != nil:
		return changestream.Classify("create", "database "+string(t.Database), named(err))
	}
	o.say("database %s created", t.Database)
	if isSource && len(o.Schema) > 0 {
		return updateSchema(ctx, admin, t, o.Schema)
	}
	return nil
}

func (o *Options) createInstance(ctx context.Context, t config.Target) error {
	admin, err := connect.InstanceAdmin(ctx, t)
	if err != nil {
		return err
	}
	defer admin.Close()
	name := t.Database.Instance()
	project, id, _ := strings.Cut(name, "/instances/")
	op, err := admin.CreateInstance(ctx, &instancepb.CreateInstanceRequest{
		Parent: project, InstanceId: id,
		Instance: &instancepb.Instance{Config: project + "/instanceConfigs/emulator-config", DisplayName: id, NodeCount: 1},
	})
	if err == nil {
		_, err = op.Wait(ctx)
	}
	if err != nil && status.Code(err) != codes.AlreadyExists {
		return changestream.Classify("create", "instance "+name, named(err))
	}
	return nil
}

// named says which names there can be, to who has chosen another.
func named(err error) error {
	if status.Code(err) != codes.InvalidArgument {
		return err
	}
	return fmt.Errorf("%w (instances: 2 to 64 lower case letters, digits and hyphens; databases: 2 to 30 of them and underscores; both begin with a letter)", err)
}

// createTables creates those metadata tables that are missing, and adds to others
// the columns that they have not.
func (o *Options) createTables(ctx context.Context, cfg *config.Loaded, t config.Target) error {
	client, err := connect.Client(ctx, t, "")
	if err != nil {
		return err
	}
	defer client.Close()
	dialect, err := changestream.DialectOf(ctx, client)
	if err != nil {
		return err
	}
	existing, err := columnsIn(ctx, client)
	if err != nil {
		return changestream.Classify("look into", "database "+string(t.Database), err)
	}
	var done, statements []string
	ddl := checkpoint.DDL(string(cfg.MetadataPrefix), dialect)
	for i, table := range checkpoint.TablesOf(string(cfg.MetadataPrefix)).All() {
		if existing[table] != nil {
			o.say("table %s exists", table)
			continue
		}
		done, statements = append(done, "table "+table+" created"), append(statements, ddl[i])
	}
	for _, c := range checkpoint.Added(string(cfg.MetadataPrefix), dialect) {
		if columns := existing[c.Table]; columns != nil && !slices.Contains(columns, c.Name) {
			done, statements = append(done, "column "+c.Name+" added to table "+c.Table), append(statements, c.DDL(dialect))
		}
	}
	if err := o.apply(ctx, t, statements); err != nil {
		return err
	}
	for _, what := range done {
		o.say("%s", what)
	}
	return nil
}

// columnsIn lists the columns of every table.
func columnsIn(ctx context.Context, client *spanner.Client) (map[string][]string, error) {
	out := make(map[string][]string)
	err := client.Single().Query(ctx, spanner.NewStatement(`SELECT table_name, column_name FROM information_schema.columns`)).Do(func(row *spanner.Row) error {
		var table, column string
		if err := row.Columns(&table, &column); err != nil {
			return err
		}
		out[table] = append(out[table], column)
		return nil
	})
	return out, err
}

// describe looks a change stream up.
func describe(ctx context.Context, t config.Target, name string) (changestream.Info, error) {
	client, err := connect.Client(ctx, t, "")
	if err != nil {
		return changestream.Info{}, err
	}
	defer client.Close()
	return changestream.Describe(ctx, client, name)
}

// createStream creates the change stream, if it does not exist.
func (o *Options) createStream(ctx context.Context, cfg *config.Loaded, t config.Target) error {
	info, err := describe(ctx, t, cfg.ChangeStream)
	switch {
	case err == nil:
		o.say("change stream %s exists%s", info.Stream, otherMode(info, o.Mutable))
		return nil
	case changestream.CauseOf(err) != changestream.NoStream:
		return err
	}
	if err := o.apply(ctx, t, []string{StreamDDL(cfg.ChangeStream, o.Watch, info.Dialect, o.Mutable)}); err != nil {
		return err
	}
	o.say("change stream %s created for %s", cfg.ChangeStream, o.Watch)
	return nil
}

// lookForStream says whether there is the change stream, which is not to be
// created. Who runs this may have no rights in the source.
func (o *Options) lookForStream(ctx context.Context, cfg *config.Loaded, t config.Target) error {
	info, err := describe(ctx, t, cfg.ChangeStream)
	switch {
	case err == nil:
		o.say("change stream %s exists", info.Stream)
	case changestream.CauseOf(err) == changestream.NoStream:
		o.say("change stream %s does not exist yet; to create it: spancast admin bootstrap --watch ALL, or %s",
			cfg.ChangeStream, StreamDDL(cfg.ChangeStream, "ALL", info.Dialect, o.Mutable))
	default:
		o.say("whether change stream %s exists is not known: %v", cfg.ChangeStream, err)
	}
	return nil
}

// otherMode says that a stream is not of the mode that was asked for: it cannot
// be changed.
func otherMode(info changestream.Info, mutable bool) string {
	switch {
	case mutable && !info.MutableKeyRange:
		return ", with another partition mode than MUTABLE_KEY_RANGE"
	case info.MutableKeyRange && !mutable:
		return ", with partition mode MUTABLE_KEY_RANGE"
	}
	return ""
}

// StreamDDL is the statement that creates a change stream.
func StreamDDL(stream, watch string, dialect changestream.Dialect, mutable bool) string {
	quote, options := "`", " OPTIONS ("
	if dialect == changestream.PostgreSQL {
		quote, options = `"`, " WITH ("
	}
	ddl := "CREATE CHANGE STREAM " + quote + stream + quote + " FOR " + watch
	if mutable {
		ddl += options + "partition_mode = 'MUTABLE_KEY_RANGE')"
	}
	return ddl
}

func (o *Options) apply(ctx context.Context, t config.Target, statements []string) error {
	if len(statements) == 0 {
		return nil
	}
	admin, err := connect.DatabaseAdmin(ctx, t)
	if err != nil {
		return err
	}
	defer admin.Close()
	return updateSchema(ctx, admin, t, statements)
}

// updateSchema changes a schema. Google's emulator refuses while the churn of
// its partitions has a transaction open, so that is tried again.
func updateSchema(ctx context.Context, admin *database.DatabaseAdminClient, t config.Target, statements []string) error {
	for attempt := 0; ; attempt++ {
		op, err := admin.UpdateDatabaseDdl(ctx, &databasepb.UpdateDatabaseDdlRequest{Database: string(t.Database), Statements: statements})
		if err == nil {
			err = op.Wait(ctx)
		}
		busy := t.PlainText && status.Code(err) == codes.FailedPrecondition && strings.Contains(err.Error(), "concurrent")
		if !busy || attempt == 100 {
			return changestream.Classify("change the schema of", "database "+string(t.Database), err)
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
