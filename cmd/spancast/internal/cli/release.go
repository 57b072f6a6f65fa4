package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/cmd/spancast/internal/config"
	"github.com/spancast/spancast/cmd/spancast/internal/connect"
	"github.com/spancast/spancast/cmd/spancast/internal/fleet"
)

// A choice says which partitions are meant.
type choice struct {
	partitions []string
	replica    string
	all        bool
}

func newRelease(cfg *config.Loaded) *cobra.Command {
	var which choice
	var ask consent
	cmd := &cobra.Command{
		Use:   "release",
		Short: "Take partitions away from the replicas that own them",
		Long: "Takes partitions away from their owners, for a replica that hangs: the next lease epoch begins,\n" +
			"so that the owner can write nothing more, and stops when it looks next. Replicas, the same one\n" +
			"among them, take the partitions when the old lease has run out. Nothing is lost; some changes\n" +
			"may be published again.",
		Example: "  spancast admin release --partition 3f2a90c1d4e5\n  spancast admin release --replica web-1-0a1b2c3d --dry-run",
		Args:    cobra.NoArgs,
		RunE: withFleet(cfg, func() error { return which.validate() }, func(cmd *cobra.Command, m *metadata, f fleet.Fleet) error {
			return release(cmd, m, f, which, ask)
		}),
	}
	ask.flags(cfg, cmd, func(f *pflag.FlagSet) {
		f.StringSliceVar(&which.partitions, "partition", nil, "partition, as admin partitions names it; may be repeated")
		f.StringVar(&which.replica, "replica", "", "all partitions of a replica, as status names it")
		f.BoolVar(&which.all, "all", false, "all partitions")
	})
	return cmd
}

func (c choice) validate() error {
	kinds := 0
	for _, given := range []bool{len(c.partitions) > 0, c.replica != "", c.all} {
		if given {
			kinds++
		}
	}
	if kinds != 1 {
		return errors.New("say what to release: one of --partition, --replica and --all")
	}
	return nil
}

func release(cmd *cobra.Command, m *metadata, f fleet.Fleet, which choice, ask consent) error {
	chosen, err := which.of(f, m.table)
	if err != nil {
		return misconfigured(err)
	}
	out := cmd.OutOrStdout()
	if len(chosen) == 0 {
		fmt.Fprintln(out, "nothing to release: none of these partitions has an owner")
		return nil
	}
	fmt.Fprintln(out, "to be released:")
	fleet.PrintPartitions(out, chosen)
	if ok, err := ask.given(cmd); !ok {
		return err
	}
	tokens := make([]changestream.PartitionToken, len(chosen))
	for i, p := range chosen {
		tokens[i] = p.Token
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), connect.Timeout)
	defer cancel()
	changed, err := m.store.Release(ctx, tokens)
	if err != nil {
		return failed(err)
	}
	for _, p := range changed {
		fmt.Fprintf(out, "partition %s released from %s, epoch %d; it can be taken after %s\n", p.Token.Short(), p.Owner, p.Epoch, fleet.Time(p.Expiry))
	}
	return nil
}

// of finds the partitions that are meant and have an owner. Names that mean
// nothing are errors.
func (c choice) of(f fleet.Fleet, table string) ([]fleet.Partition, error) {
	var unknown []string
	for _, name := range c.partitions {
		if !slices.ContainsFunc(f.Partitions, func(p fleet.Partition) bool { return p.Partition == name }) {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		return nil, fmt.Errorf("no partition %s in %s; spancast admin partitions lists them", strings.Join(unknown, ", "), table)
	}
	known := slices.ContainsFunc(f.Replicas, func(r fleet.Replica) bool { return r.ID == c.replica })
	owns := slices.ContainsFunc(f.Partitions, func(p fleet.Partition) bool { return p.Owner == c.replica })
	if c.replica != "" && !known && !owns {
		return nil, fmt.Errorf("no replica %s in %s; spancast status lists them", c.replica, table)
	}
	var out []fleet.Partition
	for _, p := range f.Partitions {
		meant := c.all || c.replica != "" && p.Owner == c.replica || slices.Contains(c.partitions, p.Partition)
		if meant && p.Owner != "" && p.Owner != changestream.Released {
			out = append(out, p)
		}
	}
	return out, nil
}
