package server

import (
	"context"
	"strings"
	"time"

	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"cloud.google.com/go/spanner/admin/instance/apiv1/instancepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// instanceAdmin is the InstanceAdmin service.
type instanceAdmin struct {
	instancepb.UnimplementedInstanceAdminServer
	*Server
}

const configName = "emulator-config"

func newInstance(name string, asked *instancepb.Instance, now time.Time) *instancepb.Instance {
	out := &instancepb.Instance{}
	if asked != nil {
		proto.Merge(out, asked)
	}
	project, id, _ := strings.Cut(name, "/instances/")
	out.Name, out.State = name, instancepb.Instance_READY
	if out.Config == "" {
		out.Config = project + "/instanceConfigs/" + configName
	}
	if out.DisplayName == "" {
		out.DisplayName = id
	}
	if out.ProcessingUnits == 0 {
		out.ProcessingUnits = max(out.NodeCount, 1) * 1000
	}
	out.NodeCount = out.ProcessingUnits / 1000
	out.CreateTime, out.UpdateTime = timestamppb.New(now), timestamppb.New(now)
	return out
}

func (a *instanceAdmin) CreateInstance(_ context.Context, r *instancepb.CreateInstanceRequest) (*longrunningpb.Operation, error) {
	name := r.GetParent() + "/instances/" + r.GetInstanceId()
	if len(strings.Split(name, "/")) != 4 || !strings.HasPrefix(name, "projects/") || !validID(r.GetInstanceId()) {
		return nil, invalid("Invalid instance name: %.200s", name)
	}
	a.mu.Lock()
	if a.instances[name] != nil {
		a.mu.Unlock()
		return nil, status.Errorf(codes.AlreadyExists, "Instance already exists: %s", name)
	}
	instance := newInstance(name, r.GetInstance(), a.config.Engine.Now())
	a.instances[name] = instance
	a.mu.Unlock()
	return a.done(name, "", &instancepb.CreateInstanceMetadata{Instance: instance, StartTime: instance.CreateTime, EndTime: instance.CreateTime}, instance)
}

func (a *instanceAdmin) GetInstance(_ context.Context, r *instancepb.GetInstanceRequest) (*instancepb.Instance, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if instance := a.instances[r.GetName()]; instance != nil {
		return instance, nil
	}
	return nil, notFound("Instance", "type.googleapis.com/google.spanner.admin.instance.v1.Instance", r.GetName())
}

func (a *instanceAdmin) ListInstances(_ context.Context, r *instancepb.ListInstancesRequest) (*instancepb.ListInstancesResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []*instancepb.Instance
	for name, instance := range a.instances {
		if strings.HasPrefix(name, r.GetParent()+"/instances/") {
			all = append(all, instance)
		}
	}
	page, next, err := paged(all, (*instancepb.Instance).GetName, int(r.GetPageSize()), r.GetPageToken())
	return &instancepb.ListInstancesResponse{Instances: page, NextPageToken: next}, err
}

func (a *instanceAdmin) DeleteInstance(_ context.Context, r *instancepb.DeleteInstanceRequest) (*emptypb.Empty, error) {
	a.mu.Lock()
	delete(a.instances, r.GetName())
	a.mu.Unlock()
	for _, db := range a.Databases() {
		if strings.HasPrefix(db.Name, r.GetName()+"/databases/") {
			a.drop(db.Name)
		}
	}
	return &emptypb.Empty{}, nil
}

func config(project string) *instancepb.InstanceConfig {
	return &instancepb.InstanceConfig{Name: project + "/instanceConfigs/" + configName, DisplayName: "Emulator Instance Config", ConfigType: instancepb.InstanceConfig_GOOGLE_MANAGED,
		State: instancepb.InstanceConfig_READY}
}

func (a *instanceAdmin) GetInstanceConfig(_ context.Context, r *instancepb.GetInstanceConfigRequest) (*instancepb.InstanceConfig, error) {
	project, id, _ := strings.Cut(r.GetName(), "/instanceConfigs/")
	if id != configName {
		return nil, notFound("Instance config", "type.googleapis.com/google.spanner.admin.instance.v1.InstanceConfig", r.GetName())
	}
	return config(project), nil
}

func (a *instanceAdmin) ListInstanceConfigs(_ context.Context, r *instancepb.ListInstanceConfigsRequest) (*instancepb.ListInstanceConfigsResponse, error) {
	return &instancepb.ListInstanceConfigsResponse{InstanceConfigs: []*instancepb.InstanceConfig{config(r.GetParent())}}, nil
}
