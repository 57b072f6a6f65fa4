// Package connect opens clients of Spanner as the configuration says.
package connect

import (
	"context"
	"fmt"
	"time"

	"cloud.google.com/go/spanner"
	database "cloud.google.com/go/spanner/admin/database/apiv1"
	instance "cloud.google.com/go/spanner/admin/instance/apiv1"
	"go.opentelemetry.io/otel/metric"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/spancast/spancast/cmd/spancast/internal/config"
	"github.com/spancast/spancast/cmd/spancast/internal/version"
)

// Timeout is how long Spanner may take to answer when the service starts.
const Timeout = 15 * time.Second

const (
	googleEndpoint = "spanner.googleapis.com:443"
	userAgent      = "spancast/" + version.Number
)

func options(t config.Target) []option.ClientOption {
	opts := []option.ClientOption{option.WithUserAgent(userAgent)}
	if t.Endpoint != "" {
		opts = append(opts, option.WithEndpoint(t.Endpoint))
	}
	if t.PlainText {
		opts = append(opts, option.WithoutAuthentication(), option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())))
	}
	return opts
}

// Client opens a client for a database. It does not wait for an answer.
func Client(ctx context.Context, t config.Target, role string) (*spanner.Client, error) {
	return Metered(ctx, t, role, nil)
}

// Metered is Client for one that measures itself; see telemetry.Spanner.
func Metered(ctx context.Context, t config.Target, role string, meters metric.MeterProvider) (*spanner.Client, error) {
	client, err := spanner.NewClientWithConfig(ctx, string(t.Database), spanner.ClientConfig{
		DatabaseRole: role, DisableNativeMetrics: t.PlainText, ClientMetricsProvider: meters, UserAgent: userAgent,
	}, options(t)...)
	if err != nil {
		return nil, fmt.Errorf("open a client for %s: %w", t.Database, hinted(err))
	}
	return client, nil
}

// DatabaseAdmin opens a client for changing schemas.
func DatabaseAdmin(ctx context.Context, t config.Target) (*database.DatabaseAdminClient, error) {
	return database.NewDatabaseAdminClient(ctx, options(t)...)
}

// InstanceAdmin opens a client for creating instances.
func InstanceAdmin(ctx context.Context, t config.Target) (*instance.InstanceAdminClient, error) {
	return instance.NewInstanceAdminClient(ctx, options(t)...)
}
