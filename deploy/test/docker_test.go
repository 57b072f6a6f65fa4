package test

import (
	"encoding/json"
	"os"
	"os/exec"
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
