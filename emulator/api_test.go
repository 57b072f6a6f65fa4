package emulator_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"cloud.google.com/go/spanner/admin/database/apiv1/databasepb"
	"cloud.google.com/go/spanner/admin/instance/apiv1/instancepb"
	sppb "cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/spancast/spancast/emulator"
)

// implemented are the methods that clients and tools call; all others of the
// services answer UNIMPLEMENTED.
var implemented = map[string]string{
	"Spanner": "CreateSession BatchCreateSessions GetSession ListSessions DeleteSession ExecuteSql ExecuteStreamingSql ExecuteBatchDml Read StreamingRead " +
		"BeginTransaction Commit Rollback PartitionQuery PartitionRead BatchWrite",
	"DatabaseAdmin": "CreateDatabase GetDatabase ListDatabases DropDatabase UpdateDatabaseDdl GetDatabaseDdl ListDatabaseOperations",
	"InstanceAdmin": "CreateInstance GetInstance ListInstances DeleteInstance GetInstanceConfig ListInstanceConfigs",
	"Operations":    "GetOperation ListOperations CancelOperation DeleteOperation WaitOperation",
}

// empty calls a method with a request that has no fields.
func empty(ctx context.Context, conn *grpc.ClientConn, m protoreflect.MethodDescriptor) error {
	path := "/" + string(m.Parent().FullName()) + "/" + string(m.Name())
	if !m.IsStreamingServer() {
		return conn.Invoke(ctx, path, &emptypb.Empty{}, &emptypb.Empty{})
	}
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, path)
	if err != nil {
		return err
	}
	if err := errors.Join(stream.SendMsg(&emptypb.Empty{}), stream.CloseSend()); err != nil {
		return err
	}
	for {
		if err := stream.RecvMsg(&emptypb.Empty{}); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// TestAPI_EveryMethod calls every method of the services with an empty request,
// which is the least that any of them must stand.
func TestAPI_EveryMethod(t *testing.T) {
	f := start(t, emulator.Options{}, emulator.GoogleSQL)
	for _, file := range []protoreflect.FileDescriptor{sppb.File_google_spanner_v1_spanner_proto, databasepb.File_google_spanner_admin_database_v1_spanner_database_admin_proto,
		instancepb.File_google_spanner_admin_instance_v1_spanner_instance_admin_proto, longrunningpb.File_google_longrunning_operations_proto} {
		service := file.Services().Get(0)
		left := strings.Fields(implemented[string(service.Name())])
		for i := range service.Methods().Len() {
			m := service.Methods().Get(i)
			name := string(m.Name())
			err := empty(limit(t), f.conn, m)
			code := status.Code(err)
			if at := slices.Index(left, name); at >= 0 {
				left = slices.Delete(left, at, at+1)
				if code == codes.Unimplemented || code == codes.Internal || code == codes.Unknown {
					t.Errorf("%s.%s: %v", service.Name(), name, err)
				}
			} else if code != codes.Unimplemented || !strings.Contains(err.Error(), name) {
				t.Errorf("%s.%s: %v, want UNIMPLEMENTED with its name", service.Name(), name, err)
			}
		}
		if len(left) > 0 {
			t.Errorf("%s has no methods %v", service.Name(), left)
		}
	}
}
