package clients

import (
	"context"
	"fmt"
	"testing"
	"time"

	"cloud.google.com/go/spanner"
	databaseadmin "cloud.google.com/go/spanner/admin/database/apiv1"
	"cloud.google.com/go/spanner/admin/database/apiv1/databasepb"
	instanceadmin "cloud.google.com/go/spanner/admin/instance/apiv1"
	"cloud.google.com/go/spanner/admin/instance/apiv1/instancepb"
	sppb "cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/api/iterator"

	"github.com/spancast/spancast/emulator"
)

// TestGo_AdminClients makes everything with the admin clients, found through
// SPANNER_EMULATOR_HOST alone.
func TestGo_AdminClients(t *testing.T) {
	s := start(t, 0)
	t.Setenv("SPANNER_EMULATOR_HOST", s.Addr())
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	instances, err := instanceadmin.NewInstanceAdminClient(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer instances.Close()
	making, err := instances.CreateInstance(ctx, &instancepb.CreateInstanceRequest{Parent: "projects/p", InstanceId: "i",
		Instance: &instancepb.Instance{Config: "projects/p/instanceConfigs/emulator-config", DisplayName: "i", NodeCount: 1}})
	if err != nil {
		t.Fatal(err)
	}
	if instance, err := making.Wait(ctx); err != nil || instance.State != instancepb.Instance_READY {
		t.Fatalf("%v %v", instance, err)
	}
	databases, err := databaseadmin.NewDatabaseAdminClient(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer databases.Close()
	creating, err := databases.CreateDatabase(ctx, &databasepb.CreateDatabaseRequest{Parent: "projects/p/instances/i", CreateStatement: "CREATE DATABASE db", ExtraStatements: ddl})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := creating.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	altering, err := databases.UpdateDatabaseDdl(ctx, &databasepb.UpdateDatabaseDdlRequest{Database: database, Statements: []string{"ALTER TABLE Orders ADD COLUMN Price NUMERIC"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := altering.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	got, err := databases.GetDatabaseDdl(ctx, &databasepb.GetDatabaseDdlRequest{Database: database})
	if err != nil || len(got.Statements) != 2 {
		t.Errorf("%v %v", got, err)
	}
	if found, err := databases.ListDatabases(ctx, &databasepb.ListDatabasesRequest{Parent: "projects/p/instances/i"}).Next(); err != nil || found.Name != database {
		t.Errorf("%v %v", found, err)
	}
	if err := databases.DropDatabase(ctx, &databasepb.DropDatabaseRequest{Database: database}); err != nil {
		t.Error(err)
	}
}

// TestGo_StreamAsItGoes follows an endless query with the client while rows
// are committed, a row at a time.
func TestGo_StreamAsItGoes(t *testing.T) {
	ctx, s, client := orders(t)
	put := func(id int) time.Time {
		at, err := client.Apply(ctx, []*spanner.Mutation{spanner.Insert("Orders", []string{"Id"}, []any{id})})
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	from := put(0)
	tokens, err := s.Partitions(database, "OrderStream")
	if err != nil {
		t.Fatal(err)
	}
	rows := client.Single().Query(ctx, spanner.Statement{SQL: "SELECT ChangeRecord FROM READ_OrderStream(@s, NULL, @t, 1000)", Params: map[string]any{"s": from, "t": tokens[0]}})
	defer rows.Stop()
	for id := range 5 {
		if _, err := rows.Next(); err != nil {
			t.Fatalf("row %d: %v", id, err)
		}
		put(id + 1)
	}
}

func TestGo_BatchReadsAndWrites(t *testing.T) {
	ctx, _, client := orders(t)
	var groups []*spanner.MutationGroup
	for id := range 10 {
		groups = append(groups, &spanner.MutationGroup{Mutations: []*spanner.Mutation{spanner.InsertOrUpdate("Orders", []string{"Id", "Item"}, []any{id, fmt.Sprint(id)})}})
	}
	if err := client.BatchWrite(ctx, groups).Do(func(r *sppb.BatchWriteResponse) error {
		if r.GetStatus().GetCode() != 0 {
			t.Errorf("group %v: %v", r.Indexes, r.Status)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	tx, err := client.BatchReadOnlyTransaction(ctx, spanner.StrongRead())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Close()
	partitions, err := tx.PartitionQuery(ctx, spanner.NewStatement("SELECT Id FROM Orders"), spanner.PartitionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, p := range partitions {
		rows := tx.Execute(ctx, p)
		for {
			if _, err := rows.Next(); err == iterator.Done {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			n++
		}
	}
	if n != 10 {
		t.Errorf("%d rows over all partitions, want 10", n)
	}
}

// orders is a server with the tables of the tests, and a client on it.
func orders(t *testing.T) (context.Context, *emulator.Server, *spanner.Client) {
	t.Helper()
	s := start(t, 0)
	if err := s.CreateDatabase(database, emulator.GoogleSQL, ddl...); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	client, err := spanner.NewClient(ctx, database, s.ClientOptions()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return ctx, s, client
}
