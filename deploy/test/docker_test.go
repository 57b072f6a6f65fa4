package test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDockerfile_IsInOrder: bases have versions, the last user is nobody special,
// and steps are scripts that exist, so that they can be run here too.
func TestDockerfile_IsInOrder(t *testing.T) {
	text, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	joined := strings.ReplaceAll(string(text), "\\\n", " ")
	stages := 0
	for _, m := range regexp.MustCompile(`(?m)^FROM (?:--platform=\S+ )?(\S+) AS (\S+)`).FindAllStringSubmatch(joined, -1) {
		stages++
		if _, version, ok := strings.Cut(m[1], ":"); !ok || version == "latest" {
			t.Errorf("stage %s is based on %s", m[2], m[1])
		}
	}
	if stages != 4 || len(regexp.MustCompile(`(?m)^USER 65532:65532`).FindAllString(joined, -1)) != 2 {
		t.Errorf("%d stages, or one that runs as root", stages)
	}
	for _, script := range regexp.MustCompile(`(?m)(?:/docker|deploy/docker)/([a-z]+)\b`).FindAllStringSubmatch(joined, -1) {
		info, err := os.Stat("../docker/" + script[1])
		if err != nil || info.Mode()&0o111 == 0 {
			t.Errorf("%s: %v, or not executable", script[1], err)
		}
	}
}

// TestSBOM_NamesTheLibraries that scanners do not see.
func TestSBOM_NamesTheLibraries(t *testing.T) {
	if _, err := exec.LookPath("dpkg-query"); err != nil {
		t.Skipf("SKIPPED, NOT TESTED: no Debian: %v", err)
	}
	out, err := exec.Command("../docker/sbom").Output()
	if err != nil {
		t.Skipf("SKIPPED, NOT TESTED: the packages of the build stage are not installed: %v", err)
	}
	var bom struct {
		Components []struct{ Name, Version, Purl string }
	}
	if err := json.Unmarshal(out, &bom); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	names := ""
	for _, c := range bom.Components {
		if c.Version == "" || !strings.HasPrefix(c.Purl, "pkg:deb/debian/"+c.Name+"@") {
			t.Errorf("%+v", c)
		}
		names += c.Name + " "
	}
	if names != "zeromq3 libsodium glibc gcc-12 " {
		t.Errorf("components %s", names)
	}
}

// TestDockerfile_StagesRun runs the steps of the static image's build stage on this
// Debian, and what comes out in a file system that is empty but for it: make image-test.
func TestDockerfile_StagesRun(t *testing.T) {
	if os.Getenv("SPANCAST_IMAGE_TEST") == "" {
		t.Skip("takes minutes: make image-test")
	}
	dir, script := t.TempDir(), func(name string, args ...string) {
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
	out := os.Getenv("SPANCAST_IMAGE_TEST")
	script("libzmq", filepath.Join(dir, "zmq"))
	script("binary", filepath.Join(dir, "zmq"), out)
	if dynamic, err := exec.Command("ldd", out).CombinedOutput(); err == nil || !bytes.Contains(dynamic, []byte("not a dynamic executable")) {
		t.Errorf("%s is not static: %s", out, dynamic)
	}
	root := filepath.Join(dir, "root")
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(out); err != nil {
		t.Fatal(err)
	} else if err := os.WriteFile(filepath.Join(root, "spancast"), b, 0o755); err != nil {
		t.Fatal(err)
	}
	version, err := exec.Command("chroot", root, "/spancast", "version").CombinedOutput()
	if err != nil || !bytes.Contains(version, []byte("libzmq   4.3.4, CURVE yes")) || !bytes.Contains(version, []byte("sodium   1.0.")) {
		t.Errorf("%v: %s", err, version)
	}
}
