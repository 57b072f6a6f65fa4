package test

import (
	"bytes"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// step runs a script of deploy/docker, as the Dockerfile does.
func step(t *testing.T, name string, args ...string) {
	t.Helper()
	path, err := filepath.Abs("../docker/" + name)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// alone puts files into a directory, the first as spancast, and returns what
// "spancast version" says with that directory as the whole file system.
func alone(t *testing.T, command []string, files map[string]string) []byte {
	t.Helper()
	root := filepath.Join(t.TempDir(), "root")
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, from := range files {
		b, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(filepath.Join(root, name), b, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command("chroot", append([]string{root}, command...)...).CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
	return out
}

// static checks that a binary is for a machine, and needs no other file.
func static(t *testing.T, path string, machine elf.Machine) {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	libraries, err := f.ImportedLibraries()
	if err != nil || len(libraries) > 0 || f.Machine != machine || f.Section(".interp") != nil {
		t.Errorf("%s is for %s and needs %v, %v", path, f.Machine, libraries, err)
	}
}

// complete checks what a static binary says of itself.
func complete(t *testing.T, version []byte) {
	t.Helper()
	if !bytes.Contains(version, []byte("libzmq   4.3.4, CURVE yes")) || !bytes.Contains(version, []byte("sodium   1.0.")) {
		t.Errorf("%s", version)
	}
}

// TestDockerfile_StagesRun runs the steps of the static image's build stage on this
// Debian, and what comes out in a file system that is empty but for it: make image-test.
func TestDockerfile_StagesRun(t *testing.T) {
	out := os.Getenv("SPANCAST_IMAGE_TEST")
	if out == "" {
		t.Skip("takes minutes: make image-test")
	}
	prefix := filepath.Join(t.TempDir(), "zmq")
	step(t, "libzmq", prefix)
	step(t, "binary", prefix, out)
	static(t, out, map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[runtime.GOARCH])
	complete(t, alone(t, []string{"/spancast", "version"}, map[string]string{"spancast": out}))
}

// TestDockerfile_CrossCompiles runs the same steps for arm64, where the cross
// compilers are installed, and what comes out with QEMU, where that is:
//
//	deploy/docker/packages build arm64 && apt-get install qemu-user-static
func TestDockerfile_CrossCompiles(t *testing.T) {
	if os.Getenv("SPANCAST_IMAGE_TEST") == "" {
		t.Skip("takes minutes: make image-test")
	}
	if err := exec.Command("dpkg", "-s", "g++-aarch64-linux-gnu", "libsodium-dev:arm64").Run(); err != nil {
		t.Skipf("SKIPPED, NOT TESTED: no cross compilers, deploy/docker/packages build arm64 installs them: %v", err)
	}
	prefix, out := filepath.Join(t.TempDir(), "zmq"), filepath.Join(t.TempDir(), "spancast")
	step(t, "libzmq", prefix, "arm64")
	step(t, "binary", prefix, out, "arm64")
	static(t, out, elf.EM_AARCH64)
	qemu, err := exec.LookPath("qemu-aarch64-static")
	if err != nil {
		t.Skipf("BUILT, NOT RUN: %v", err)
	}
	complete(t, alone(t, []string{"/qemu", "/spancast", "version"}, map[string]string{"spancast": out, "qemu": qemu}))
}

// TestDockerfile_DebianStageRuns builds as the other target does, with Debian's
// libzmq, which is what its packages bring.
func TestDockerfile_DebianStageRuns(t *testing.T) {
	if os.Getenv("SPANCAST_IMAGE_TEST") == "" {
		t.Skip("takes minutes: make image-test")
	}
	out := filepath.Join(t.TempDir(), "spancast")
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", out, "./cmd/spancast")
	build.Dir = "../.."
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	f, err := elf.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if libraries, err := f.ImportedLibraries(); err != nil || !slices.Contains(libraries, "libzmq.so.5") {
		t.Errorf("it needs %v, %v", libraries, err)
	}
	list := exec.Command("../docker/packages", "run")
	list.Env = append(os.Environ(), "PRINT=1")
	packages, err := list.Output()
	if err != nil || !bytes.Contains(packages, []byte("libzmq5")) {
		t.Errorf("%s, %v", packages, err)
	}
	if version, err := exec.Command(out, "version").CombinedOutput(); err != nil || !bytes.Contains(version, []byte("CURVE yes")) {
		t.Errorf("%v: %s", err, version)
	}
}
