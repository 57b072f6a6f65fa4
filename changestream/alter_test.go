package changestream_test

import (
	"context"

	database "cloud.google.com/go/spanner/admin/database/apiv1"
	"cloud.google.com/go/spanner/admin/database/apiv1/databasepb"
)

// alter changes the schema of the fixture's database.
func alter(f *fixture, statement string) {
	f.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	admin, err := database.NewDatabaseAdminClient(ctx, f.server.ClientOptions()...)
	must(f, err)
	defer admin.Close()
	op, err := admin.UpdateDatabaseDdl(ctx, &databasepb.UpdateDatabaseDdlRequest{Database: testDatabase, Statements: []string{statement}})
	must(f, err)
	must(f, op.Wait(ctx))
}
