package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/checkpoint"
	"github.com/spancast/spancast/cmd/spancast/internal/bootstrap"
	"github.com/spancast/spancast/cmd/spancast/internal/config"
	"github.com/spancast/spancast/cmd/spancast/internal/connect"
)

func newAdmin(cfg *config.Loaded) *cobra.Command {
	cmd := &cobra.Command{Use: "admin", Short: "Set up and mend what the service keeps in Spanner"}
	cmd.AddCommand(newBootstrap(cfg), newPartitions(cfg), newRelease(cfg), newReset(cfg))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return fmt.Errorf("unknown command %q", args[0])
		}
		return cmd.Help()
	}
	return cmd
}

func newBootstrap(cfg *config.Loaded) *cobra.Command {
	var printOnly bool
	var watch, dialect, mode string
	cmd := &cobra.Command{
		Use:   "bootstrap",
		Short: "Create the metadata tables, and if asked the change stream",
		Long: "Creates the metadata tables where they are missing; with --watch the change stream too; on an\n" +
			"emulator also the instance and the database. Without --watch it says whether there is the change\n" +
			"stream. What exists is left as it is, but for columns that tables of an earlier version lack, so\n" +
			"the command can be run again. With --print nothing is created: the statements are printed, and\n" +
			"the grants that a database role needs.",
		Example: "  spancast admin bootstrap --watch ALL\n  spancast admin bootstrap --watch 'Orders(Status, Total), Users' --print",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o := bootstrap.Options{Watch: watch, Out: cmd.OutOrStdout()}
			var err error
			if o.Dialect, err = parseDialect(dialect); err != nil {
				return err
			}
			if o.Mutable, err = parseMode(mode); err != nil {
				return err
			}
			needs := []string{"DATABASE"}
			if watch != "" || printOnly {
				needs = append(needs, "CHANGE_STREAM")
			}
			if err := checked(cfg, needs...); err != nil {
				return err
			}
			if printOnly {
				printStatements(cmd.OutOrStdout(), cfg, o)
				return nil
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), 4*connect.Timeout)
			defer cancel()
			return failed(bootstrap.Run(ctx, cfg, o))
		},
	}
	cfg.BindFlags(cmd.Flags(), "DATABASE", "CHANGE_STREAM", "METADATA_DATABASE", "SPANNER_ENDPOINT", "METADATA_ENDPOINT", "METADATA_PREFIX", "DATABASE_ROLE")
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&watch, "watch", "", "create the change stream, for ALL or for tables as in CREATE CHANGE STREAM … FOR")
	cmd.Flags().StringVar(&mode, "partition-mode", "immutable", "of a change stream that is created, and of what --print prints: immutable or mutable, as IMMUTABLE_KEY_RANGE and MUTABLE_KEY_RANGE")
	cmd.Flags().BoolVar(&printOnly, "print", false, "print the statements and grants, and create nothing")
	cmd.Flags().StringVar(&dialect, "dialect", "googlesql", "dialect of a database that is created, and of what --print prints: googlesql or postgresql")
	return cmd
}

func parseDialect(name string) (changestream.Dialect, error) {
	switch strings.ToLower(name) {
	case "googlesql":
		return changestream.GoogleSQL, nil
	case "postgresql":
		return changestream.PostgreSQL, nil
	}
	return "", fmt.Errorf("--dialect %q is not one of googlesql, postgresql", name)
}

func parseMode(name string) (mutable bool, err error) {
	switch strings.TrimSuffix(strings.ToLower(name), "_key_range") {
	case "immutable":
		return false, nil
	case "mutable":
		return true, nil
	}
	return false, fmt.Errorf("--partition-mode %q is not one of immutable, mutable", name)
}

func printStatements(w io.Writer, cfg *config.Loaded, o bootstrap.Options) {
	info := changestream.Info{Database: string(cfg.Database), Stream: cfg.ChangeStream, Dialect: o.Dialect, MutableKeyRange: o.Mutable}
	same := cfg.Metadata().Database == cfg.Database
	comment := func(text string) { fmt.Fprintf(w, "-- %s\n", text) }
	comment("metadata tables, in " + string(cfg.Metadata().Database))
	for _, s := range checkpoint.DDL(string(cfg.MetadataPrefix), o.Dialect) {
		fmt.Fprintf(w, "%s;\n", s)
	}
	comment("if these tables are of an earlier version: the columns that came later")
	for _, c := range checkpoint.Added(string(cfg.MetadataPrefix), o.Dialect) {
		fmt.Fprintf(w, "%s;\n", c.DDL(o.Dialect))
	}
	if o.Watch != "" {
		comment("change stream, in " + info.Database)
		fmt.Fprintf(w, "%s;\n", bootstrap.StreamDDL(info.Stream, o.Watch, o.Dialect, o.Mutable))
	}
	role := cfg.DatabaseRole
	if role == "" {
		role = "spancast_reader"
	}
	comment("least privilege with fine-grained access control, in " + info.Database + "; SPANCAST_DATABASE_ROLE=" + role)
	statements := checkpoint.Grants(info, role)
	if same {
		statements = append(statements, checkpoint.TableGrants(string(cfg.MetadataPrefix), o.Dialect, role, false)...)
	}
	for _, s := range statements {
		fmt.Fprintf(w, "%s;\n", s)
	}
	if !same {
		comment("and in " + string(cfg.Metadata().Database))
		for _, s := range checkpoint.TableGrants(string(cfg.MetadataPrefix), o.Dialect, role, true) {
			fmt.Fprintf(w, "%s;\n", s)
		}
	}
	comment("snapshots want SELECT on their tables as well; nothing else does.")
	comment("IAM for the service's identity: roles/spanner.fineGrainedAccessUser and, for the role, roles/spanner.databaseRoleUser;")
	comment("without fine-grained access control: roles/spanner.databaseReader on the source, and reading and writing on the metadata tables.")
}
