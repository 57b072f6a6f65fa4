package server

import (
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

func invalid(format string, args ...any) error {
	return status.Errorf(codes.InvalidArgument, format, args...)
}

// notFound is the error of a missing resource, with its kind and name attached
// as clients look for them.
func notFound(kind, typ, name string) error {
	st := status.Newf(codes.NotFound, "%s not found: %.300s", kind, name)
	if detailed, err := st.WithDetails(&errdetails.ResourceInfo{ResourceType: typ, ResourceName: name, Description: kind + " does not exist."}); err == nil {
		st = detailed
	}
	return st.Err()
}

// retrySoon tells clients to run an aborted transaction again at once; without
// it they wait for 20 ms and more.
func retrySoon(err error) error {
	st, ok := status.FromError(err)
	if !ok || st.Code() != codes.Aborted {
		return err
	}
	if detailed, derr := st.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Millisecond)}); derr == nil {
		return detailed.Err()
	}
	return err
}
