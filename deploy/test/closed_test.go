package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestKubernetes_WhatIsForProductionIsClosed: nothing is open that is not
// protected, forwarders included.
func TestKubernetes_WhatIsForProductionIsClosed(t *testing.T) {
	all := renderings(t)
	for _, name := range []string{"gke", "gke with forwarder"} {
		n := 0
		for _, p := range all[name].pods {
			for _, c := range p.template.Spec.Containers {
				if env, err := all[name].environment(c); err != nil {
					t.Errorf("%s: %v", name, err)
				} else if isSpancast(c) {
					closed(t, name+": "+p.owner, env)
					n++
				}
			}
		}
		if n == 0 {
			t.Errorf("%s: no containers", name)
		}
	}
}

// closed asks spancast about the variables of a container, with files that are
// what the comments of the manifests say.
func closed(t *testing.T, where string, env map[string]string) {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	public, err := exec.Command(path, "keygen", "--out", file("secret")).Output()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"public": string(public), "access": "publishers: [replicas]"} {
		if err := os.WriteFile(file(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files := map[string]string{"SPANCAST_CURVE_SECRET_KEY_FILE": "secret", "SPANCAST_CONNECT_SERVER_KEY_FILE": "public", "SPANCAST_ACCESS_FILE": "access"}
	check := exec.Command(path, "validate", "--offline")
	check.Env = []string{"SPANCAST_DATABASE=projects/p/instances/i/databases/d", "SPANCAST_CHANGE_STREAM=S"}
	for k, v := range env {
		if name, isFile := files[k]; isFile {
			v = file(name)
		}
		if strings.HasPrefix(k, "SPANCAST_") {
			check.Env = append(check.Env, k+"="+v)
		}
	}
	if env["SPANCAST_ALLOW_INSECURE"] != "" {
		t.Errorf("%s: SPANCAST_ALLOW_INSECURE", where)
	}
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("%s: spancast validate --offline: %v\n%s", where, err, out)
	}
}
