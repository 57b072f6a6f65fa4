// Package spannerdb gives tests databases on a Spanner that runs here: the one
// that SPANNER_EMULATOR_HOST names, or Google's emulator, started once for the
// test binary that asks.
package spannerdb

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/spanner"
	database "cloud.google.com/go/spanner/admin/database/apiv1"
	"cloud.google.com/go/spanner/admin/database/apiv1/databasepb"
	instance "cloud.google.com/go/spanner/admin/instance/apiv1"
	"cloud.google.com/go/spanner/admin/instance/apiv1/instancepb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/spancast/spancast/emulator/google"
)

// PartitionLife is how long partitions of change streams live on an emulator
// that this package starts: between this and twice this.
const PartitionLife = 2 * time.Second

// shared is the emulator of this test binary. It dies with it.
var shared = sync.OnceValues(func() (string, error) {
	if host := os.Getenv("SPANNER_EMULATOR_HOST"); host != "" {
		return host, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	s, err := google.Start(ctx, google.Options{PartitionLife: PartitionLife})
	if err != nil {
		return "", err
	}
	return s.Addr(), nil
})

// Host returns the host:port of a Spanner emulator. Without one the test is
// skipped, except in CI, where it fails.
func Host(t testing.TB) string {
	t.Helper()
	host, err := shared()
	return orSkip(t, host, err)
}

// Own starts an emulator for this test alone.
func Own(t testing.TB, o google.Options) *google.Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	s, err := google.Start(ctx, o)
	orSkip(t, "", err)
	t.Cleanup(func() { s.Close() })
	return s
}

func orSkip(t testing.TB, host string, err error) string {
	t.Helper()
	switch {
	case errors.Is(err, google.ErrNotFound) && os.Getenv("CI") == "":
		t.Skipf("SKIPPED, NOT TESTED: %v", err)
	case err != nil:
		t.Fatal(err)
	}
	return host
}

// Options for any client of the emulator at host.
func Options(host string) []option.ClientOption {
	return []option.ClientOption{
		option.WithEndpoint(host), option.WithoutAuthentication(),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())),
	}
}

// A DB is a database made for one test.
type DB struct {
	Host   string
	Name   string // projects/P/instances/I/databases/D
	Client *spanner.Client

	admin *database.DatabaseAdminClient
}

// New makes a database with a schema at host.
func New(t testing.TB, host string, dialect databasepb.DatabaseDialect, ddl ...string) *DB {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	const parent = "projects/spancast/instances/test"
	makeInstance(ctx, t, host)
	admin, err := database.NewDatabaseAdminClient(ctx, Options(host)...)
	check(t, err)
	t.Cleanup(func() { admin.Close() })
	id := "d" + randomID()
	quote := "`"
	if dialect == databasepb.DatabaseDialect_POSTGRESQL {
		quote = `"`
	}
	op, err := admin.CreateDatabase(ctx, &databasepb.CreateDatabaseRequest{Parent: parent, CreateStatement: "CREATE DATABASE " + quote + id + quote, DatabaseDialect: dialect})
	check(t, err)
	_, err = op.Wait(ctx)
	check(t, err)
	db := &DB{Host: host, Name: parent + "/databases/" + id, admin: admin}
	db.DDL(t, ddl...)
	db.Client = db.NewClient(t)
	return db
}

func makeInstance(ctx context.Context, t testing.TB, host string) {
	client, err := instance.NewInstanceAdminClient(ctx, Options(host)...)
	check(t, err)
	defer client.Close()
	op, err := client.CreateInstance(ctx, &instancepb.CreateInstanceRequest{Parent: "projects/spancast", InstanceId: "test",
		Instance: &instancepb.Instance{Config: "projects/spancast/instanceConfigs/emulator-config", DisplayName: "test", NodeCount: 1}})
	if status.Code(err) == codes.AlreadyExists {
		return
	}
	check(t, err)
	_, err = op.Wait(ctx)
	check(t, err)
}

// NewClient opens one more client.
func (db *DB) NewClient(t testing.TB) *spanner.Client {
	t.Helper()
	client, err := spanner.NewClientWithConfig(context.Background(), db.Name, spanner.ClientConfig{DisableNativeMetrics: true}, Options(db.Host)...)
	check(t, err)
	t.Cleanup(client.Close)
	return client
}

// DDL changes the schema. The emulator refuses while its churn of partitions
// has a transaction open, so it is tried a few times.
func (db *DB) DDL(t testing.TB, statements ...string) {
	t.Helper()
	if len(statements) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for {
		op, err := db.admin.UpdateDatabaseDdl(ctx, &databasepb.UpdateDatabaseDdlRequest{Database: db.Name, Statements: statements})
		if err == nil {
			err = op.Wait(ctx)
		}
		if status.Code(err) != codes.FailedPrecondition && status.Code(err) != codes.Aborted {
			check(t, err)
			return
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal(err)
		}
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func randomID() string {
	var b [6]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
