package server

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"cloud.google.com/go/spanner/admin/database/apiv1/databasepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/spancast/spancast/emulator/internal/ddl"
	"github.com/spancast/spancast/emulator/internal/schema"
)

// databaseAdmin is the DatabaseAdmin service.
type databaseAdmin struct {
	databasepb.UnimplementedDatabaseAdminServer
	*Server
}

func databaseProto(name string, d schema.Dialect, created time.Time) *databasepb.Database {
	dialect := databasepb.DatabaseDialect_GOOGLE_STANDARD_SQL
	if d == schema.PostgreSQL {
		dialect = databasepb.DatabaseDialect_POSTGRESQL
	}
	return &databasepb.Database{Name: name, State: databasepb.Database_READY, DatabaseDialect: dialect, CreateTime: timestamppb.New(created), VersionRetentionPeriod: "1h"}
}

// createName finds the name in CREATE DATABASE, quoted in either way or not.
var createName = regexp.MustCompile("(?i)^\\s*CREATE\\s+DATABASE\\s+[`\"]?([A-Za-z0-9_-]+)[`\"]?\\s*;?\\s*$")

func (a *databaseAdmin) CreateDatabase(_ context.Context, r *databasepb.CreateDatabaseRequest) (*longrunningpb.Operation, error) {
	m := createName.FindStringSubmatch(r.GetCreateStatement())
	if m == nil {
		return nil, invalid("Invalid CREATE DATABASE statement: %.200s", r.GetCreateStatement())
	}
	dialect := schema.GoogleSQL
	if r.GetDatabaseDialect() == databasepb.DatabaseDialect_POSTGRESQL {
		dialect = schema.PostgreSQL
		if len(r.GetExtraStatements()) > 0 {
			return nil, invalid("DDL statements other than CREATE DATABASE are not allowed in database creation of a PostgreSQL database.")
		}
	}
	db, err := a.add(r.GetParent(), m[1], dialect, false)
	if err != nil {
		return nil, err
	}
	if _, err := a.alter(db, r.GetExtraStatements()); err != nil {
		a.drop(db.Name)
		return nil, err
	}
	return a.done(db.Name, "", &databasepb.CreateDatabaseMetadata{Database: db.Name}, db.proto)
}

// alter applies statements one after the other. The timestamps are those of
// the ones that took effect before an error.
func (s *Server) alter(db *database, statements []string) ([]*timestamppb.Timestamp, error) {
	var at []*timestamppb.Timestamp
	for _, statement := range statements {
		when, err := db.Alter(func(current *schema.Schema) (*schema.Schema, error) {
			return ddl.Apply(current, statement, db.Now)
		})
		if err != nil {
			return at, err
		}
		at = append(at, timestamppb.New(when))
	}
	return at, nil
}

func (a *databaseAdmin) UpdateDatabaseDdl(_ context.Context, r *databasepb.UpdateDatabaseDdlRequest) (*longrunningpb.Operation, error) {
	db, err := a.database(r.GetDatabase())
	if err != nil {
		return nil, err
	}
	if len(r.GetStatements()) == 0 {
		return nil, invalid("UpdateDatabaseDdl requires at least one statement.")
	}
	if a.taken(db.Name, r.GetOperationId()) {
		return nil, status.Errorf(codes.AlreadyExists, "Operation already exists: %s", r.GetOperationId())
	}
	at, err := a.alter(db, r.GetStatements())
	if err != nil {
		return nil, err
	}
	return a.done(db.Name, r.GetOperationId(), &databasepb.UpdateDatabaseDdlMetadata{Database: db.Name, Statements: r.GetStatements(), CommitTimestamps: at}, &emptypb.Empty{})
}

func (a *databaseAdmin) GetDatabase(_ context.Context, r *databasepb.GetDatabaseRequest) (*databasepb.Database, error) {
	db, err := a.database(r.GetName())
	if err != nil {
		return nil, err
	}
	return db.proto, nil
}

func (a *databaseAdmin) ListDatabases(_ context.Context, r *databasepb.ListDatabasesRequest) (*databasepb.ListDatabasesResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.instances[r.GetParent()] == nil {
		return nil, notFound("Instance", "type.googleapis.com/google.spanner.admin.instance.v1.Instance", r.GetParent())
	}
	var all []*databasepb.Database
	for name, db := range a.databases {
		if strings.HasPrefix(name, r.GetParent()+"/databases/") {
			all = append(all, db.proto)
		}
	}
	page, next, err := paged(all, (*databasepb.Database).GetName, int(r.GetPageSize()), r.GetPageToken())
	return &databasepb.ListDatabasesResponse{Databases: page, NextPageToken: next}, err
}

// paged cuts a page out of a list: page tokens are the name that comes next.
func paged[T any](all []T, name func(T) string, size int, token string) ([]T, string, error) {
	slices.SortFunc(all, func(a, b T) int { return strings.Compare(name(a), name(b)) })
	from, _ := slices.BinarySearchFunc(all, token, func(a T, token string) int { return strings.Compare(name(a), token) })
	all = all[from:]
	if size <= 0 || size > 1000 {
		size = 1000
	}
	if len(all) <= size {
		return all, "", nil
	}
	return all[:size], name(all[size]), nil
}

func (a *databaseAdmin) DropDatabase(_ context.Context, r *databasepb.DropDatabaseRequest) (*emptypb.Empty, error) {
	a.drop(r.GetDatabase())
	return &emptypb.Empty{}, nil
}

func (a *databaseAdmin) GetDatabaseDdl(_ context.Context, r *databasepb.GetDatabaseDdlRequest) (*databasepb.GetDatabaseDdlResponse, error) {
	db, err := a.database(r.GetDatabase())
	if err != nil {
		return nil, err
	}
	return &databasepb.GetDatabaseDdlResponse{Statements: db.Schema().DDL()}, nil
}

func (a *databaseAdmin) ListDatabaseOperations(_ context.Context, r *databasepb.ListDatabaseOperationsRequest) (*databasepb.ListDatabaseOperationsResponse, error) {
	page, next, err := paged(a.list(r.GetParent()), (*longrunningpb.Operation).GetName, int(r.GetPageSize()), r.GetPageToken())
	return &databasepb.ListDatabaseOperationsResponse{Operations: page, NextPageToken: next}, err
}

// operations are the long-running operations, all of which end at once. The
// latest are kept.
type operations struct {
	all  []*longrunningpb.Operation
	next int
}

const keptOperations = 1000

// done records an operation that has ended well.
func (s *Server) done(parent, id string, metadata, response proto.Message) (*longrunningpb.Operation, error) {
	meta, err := anypb.New(metadata)
	if err != nil {
		return nil, err
	}
	reply, err := anypb.New(response)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if id == "" {
		s.ops.next++
		id = fmt.Sprintf("_auto_%d", s.ops.next)
	}
	op := &longrunningpb.Operation{Name: parent + "/operations/" + id, Metadata: meta, Done: true, Result: &longrunningpb.Operation_Response{Response: reply}}
	if len(s.ops.all) == keptOperations {
		s.ops.all = slices.Delete(s.ops.all, 0, keptOperations/2)
	}
	s.ops.all = append(s.ops.all, op)
	return op, nil
}

func (s *Server) taken(parent, id string) bool {
	if id == "" {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.ops.all, func(op *longrunningpb.Operation) bool { return op.Name == parent+"/operations/"+id })
}

func (s *Server) list(parent string) []*longrunningpb.Operation {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*longrunningpb.Operation
	for _, op := range s.ops.all {
		if strings.HasPrefix(op.Name, parent+"/") {
			out = append(out, op)
		}
	}
	return out
}

// operationsService is the Operations service.
type operationsService struct {
	longrunningpb.UnimplementedOperationsServer
	*Server
}

func (o *operationsService) find(name string) (*longrunningpb.Operation, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, op := range o.ops.all {
		if op.Name == name {
			return op, nil
		}
	}
	return nil, status.Errorf(codes.NotFound, "Operation not found: %.300s", name)
}

func (o *operationsService) GetOperation(_ context.Context, r *longrunningpb.GetOperationRequest) (*longrunningpb.Operation, error) {
	return o.find(r.GetName())
}

func (o *operationsService) WaitOperation(_ context.Context, r *longrunningpb.WaitOperationRequest) (*longrunningpb.Operation, error) {
	return o.find(r.GetName())
}

func (o *operationsService) ListOperations(_ context.Context, r *longrunningpb.ListOperationsRequest) (*longrunningpb.ListOperationsResponse, error) {
	page, next, err := paged(o.list(strings.TrimSuffix(r.GetName(), "/operations")), (*longrunningpb.Operation).GetName, int(r.GetPageSize()), r.GetPageToken())
	return &longrunningpb.ListOperationsResponse{Operations: page, NextPageToken: next}, err
}

func (o *operationsService) CancelOperation(_ context.Context, r *longrunningpb.CancelOperationRequest) (*emptypb.Empty, error) {
	_, err := o.find(r.GetName())
	return &emptypb.Empty{}, err
}

func (o *operationsService) DeleteOperation(_ context.Context, r *longrunningpb.DeleteOperationRequest) (*emptypb.Empty, error) {
	if _, err := o.find(r.GetName()); err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ops.all = slices.DeleteFunc(o.ops.all, func(op *longrunningpb.Operation) bool { return op.Name == r.GetName() })
	return &emptypb.Empty{}, nil
}
