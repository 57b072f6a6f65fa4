package demo

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spancast/spancast/cmd/spancast/internal/service"
)

// Second is what the second replica of a demo runs, in a process of its own, so
// that it can be killed. It ends with in, which the first replica's process holds
// open as long as it lives, and says on out where its page is.
func Second(ctx context.Context, address string, in io.Reader, out io.Writer, log *slog.Logger) error {
	cfg, err := configure(address)
	if err != nil {
		return err
	}
	s, err := service.Open(ctx, cfg, log, nil)
	if err != nil {
		return err
	}
	defer s.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		io.Copy(io.Discard, in)
		cancel()
	}()
	fmt.Fprintln(out, s.Page())
	return s.Run(ctx)
}

// secondPatience is how long the second replica may take to end, before it is
// killed.
const secondPatience = 10 * time.Second

// second runs the second replica and tells of it, until ctx is done. Its death is
// part of the show, and no error; without it the show goes on.
func (o *Options) second(ctx context.Context, address string) error {
	cmd, in, out, err := start(address)
	if err != nil {
		o.Log.Warn("the second replica could not be started", "error", err)
		<-ctx.Done()
		return nil
	}
	ended := make(chan error, 1)
	go func() {
		if page, err := bufio.NewReader(out).ReadString('\n'); err == nil {
			o.Log.Info(fmt.Sprintf("a second replica runs; kill -9 %d, and this one takes over within %s", cmd.Process.Pid, lease), "pid", cmd.Process.Pid, "page", strings.TrimSpace(page))
		}
		ended <- cmd.Wait()
	}()
	select {
	case err := <-ended:
		if ctx.Err() == nil {
			o.Log.Warn("the second replica has ended; its partitions are taken over when their leases have run out", "how", err)
		}
		<-ctx.Done()
		return nil
	case <-ctx.Done():
	}
	in.Close()
	select {
	case <-ended:
	case <-time.After(secondPatience):
		cmd.Process.Kill()
		<-ended
	}
	return nil
}

// start starts the second replica.
func start(address string) (cmd *exec.Cmd, in io.Closer, out io.Reader, err error) {
	program, err := os.Executable()
	if err != nil {
		return nil, nil, nil, err
	}
	cmd = exec.Command(program, "demo", "--second", address)
	cmd.Env, cmd.Stderr = foreign(os.Environ()), os.Stderr
	if in, err = cmd.StdinPipe(); err != nil {
		return nil, nil, nil, err
	}
	if out, err = cmd.StdoutPipe(); err != nil {
		return nil, nil, nil, err
	}
	return cmd, in, out, cmd.Start()
}

// foreign is an environment without what is Spancast's.
func foreign(environment []string) (out []string) {
	for _, v := range environment {
		if !strings.HasPrefix(v, "SPANCAST_") {
			out = append(out, v)
		}
	}
	return out
}
