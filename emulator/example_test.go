package emulator_test

import (
	"context"
	"fmt"
	"log"

	"cloud.google.com/go/spanner"

	"github.com/spancast/spancast/emulator"
)

// A test of an application that uses Spanner needs no more than this.
func ExampleStart() {
	ctx := context.Background()
	server, err := emulator.Start(ctx, emulator.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	const name = "projects/demo/instances/demo/databases/shop"
	err = server.CreateDatabase(name, emulator.GoogleSQL,
		"CREATE TABLE Orders (Id INT64 NOT NULL, Item STRING(MAX)) PRIMARY KEY (Id)",
		"CREATE CHANGE STREAM OrderStream FOR Orders")
	if err != nil {
		log.Fatal(err)
	}
	client, err := spanner.NewClient(ctx, name, server.ClientOptions()...)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	_, err = client.Apply(ctx, []*spanner.Mutation{spanner.Insert("Orders", []string{"Id", "Item"}, []any{1, "tea"})})
	if err != nil {
		log.Fatal(err)
	}
	partitions, err := server.Partitions(name, "OrderStream")
	fmt.Println(len(partitions), "partitions,", err)
	fmt.Println(server.Churn(name, "OrderStream", emulator.Split, partitions[0]))
	// Output:
	// 2 partitions, <nil>
	// <nil>
}
