package conformance

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"cloud.google.com/go/spanner"
	"cloud.google.com/go/spanner/admin/database/apiv1/databasepb"
	"cloud.google.com/go/spanner/admin/instance/apiv1/instancepb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// Server is a Spanner API in plain text on a loopback address.
type Server struct {
	Addr string // host:port
	Kind Kind   // whose rules it follows
	Only []int  // case numbers to run; empty: all
}

const (
	project  = "projects/conformance"
	instance = project + "/instances/conformance"
)

func (s Server) connect() (*grpc.ClientConn, error) {
	return grpc.NewClient(s.Addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
}

// database is one database made for a group of cases, and the connections to it.
type database struct {
	name    string
	dialect Dialect
	conn    *grpc.ClientConn
	client  *spanner.Client
}

// create makes the instance if it is missing and a database with a name of its
// own that holds the schema.
func (s Server) create(ctx context.Context, dialect Dialect, ddl []string) (*database, error) {
	conn, err := s.connect()
	if err != nil {
		return nil, err
	}
	db := &database{dialect: dialect, conn: conn}
	if err := db.prepare(ctx, s, ddl); err != nil {
		conn.Close()
		return nil, err
	}
	return db, nil
}

func (db *database) prepare(ctx context.Context, s Server, ddl []string) error {
	if err := createInstance(ctx, db.conn); err != nil {
		return fmt.Errorf("create instance: %w", err)
	}
	id := make([]byte, 6)
	if _, err := rand.Read(id); err != nil {
		return err
	}
	name := "c" + hex.EncodeToString(id)
	db.name = instance + "/databases/" + name
	request := &databasepb.CreateDatabaseRequest{Parent: instance, CreateStatement: "CREATE DATABASE " + name}
	if db.dialect == PostgreSQL {
		request.DatabaseDialect = databasepb.DatabaseDialect_POSTGRESQL
	}
	op, err := databasepb.NewDatabaseAdminClient(db.conn).CreateDatabase(ctx, request)
	if err = db.wait(ctx, op, err); err != nil {
		return fmt.Errorf("create database: %w", err)
	}
	if len(ddl) > 0 {
		if err := db.alter(ctx, ddl...); err != nil {
			return err
		}
	}
	db.client, err = spanner.NewClient(ctx, db.name, clientOptions(s.Addr)...)
	return err
}

func clientOptions(addr string) []option.ClientOption {
	return []option.ClientOption{option.WithEndpoint(addr), option.WithoutAuthentication(),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials()))}
}

func createInstance(ctx context.Context, conn *grpc.ClientConn) error {
	_, err := instancepb.NewInstanceAdminClient(conn).CreateInstance(ctx, &instancepb.CreateInstanceRequest{
		Parent: project, InstanceId: "conformance",
		Instance: &instancepb.Instance{Config: project + "/instanceConfigs/emulator-config", DisplayName: "conformance", NodeCount: 1},
	})
	if status.Code(err) == codes.AlreadyExists {
		return nil
	}
	return err
}

// busy is part of what Google's emulator answers to DDL while a transaction is
// open, be it one of its own that changes partitions.
const busy = "concurrent schema change operation or read-write transaction"

// alter runs DDL statements and waits for their end.
func (db *database) alter(ctx context.Context, ddl ...string) error {
	for {
		op, err := databasepb.NewDatabaseAdminClient(db.conn).UpdateDatabaseDdl(ctx, &databasepb.UpdateDatabaseDdlRequest{Database: db.name, Statements: ddl})
		if err = db.wait(ctx, op, err); err == nil {
			return nil
		}
		if !strings.Contains(err.Error(), busy) {
			return fmt.Errorf("DDL %.80q…: %w", ddl[0], err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("DDL %.80q…: %w", ddl[0], err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// wait polls an operation to its end.
func (db *database) wait(ctx context.Context, op *longrunningpb.Operation, err error) error {
	operations := longrunningpb.NewOperationsClient(db.conn)
	for err == nil && !op.Done {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
		op, err = operations.GetOperation(ctx, &longrunningpb.GetOperationRequest{Name: op.Name})
	}
	if err != nil {
		return err
	}
	return status.ErrorProto(op.GetError())
}

func (db *database) close() {
	if db.client != nil {
		db.client.Close()
	}
	db.conn.Close()
}

// commit runs one transaction: mutations alone with Apply, DML in a
// read-write transaction.
func (db *database) commit(ctx context.Context, txn Txn, tag string) (time.Time, error) {
	var mutations []*spanner.Mutation
	var statements []string
	for _, op := range txn {
		if op.mutation != nil {
			mutations = append(mutations, op.mutation)
			continue
		}
		statements = append(statements, op.dml[db.dialect])
	}
	if len(statements) == 0 {
		return db.client.Apply(ctx, mutations, spanner.TransactionTag(tag))
	}
	response, err := db.client.ReadWriteTransactionWithOptions(ctx, func(ctx context.Context, tx *spanner.ReadWriteTransaction) error {
		for _, statement := range statements {
			if _, err := tx.Update(ctx, spanner.NewStatement(statement)); err != nil {
				return err
			}
		}
		return tx.BufferWrite(mutations)
	}, spanner.TransactionOptions{TransactionTag: tag})
	return response.CommitTs, err
}

// empty deletes all rows of the tables.
func (db *database) empty(ctx context.Context, tables []string) error {
	var txn Txn
	for _, table := range tables {
		txn = append(txn, Op{mutation: spanner.Delete(table, spanner.AllKeys())})
	}
	_, err := db.commit(ctx, txn, "")
	return err
}

// Handle is a database made by Create, with connections to it.
type Handle struct {
	Name   string // projects/P/instances/I/databases/D
	Conn   *grpc.ClientConn
	Client *spanner.Client
	Close  func()
}

// Create makes a database with a name of its own for tests beyond the cases.
func (s Server) Create(ctx context.Context, dialect Dialect, ddl ...string) (Handle, error) {
	db, err := s.create(ctx, dialect, ddl)
	if err != nil {
		return Handle{}, err
	}
	return Handle{Name: db.name, Conn: db.conn, Client: db.client, Close: db.close}, nil
}
