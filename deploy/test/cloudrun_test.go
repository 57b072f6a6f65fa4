package test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	run "google.golang.org/api/run/v1"
	"sigs.k8s.io/yaml"
)

// annotations are those that Cloud Run has and that are used here: they are plain
// text, and nobody else would notice a typing error.
func annotations() []string {
	return []string{"run.googleapis.com/scalingMode", "run.googleapis.com/manualInstanceCount", "run.googleapis.com/network-interfaces",
		"run.googleapis.com/vpc-access-egress", "run.googleapis.com/container-dependencies"}
}

// TestCloudRun_WorkerPools decode strictly, and stay within what Cloud Run allows.
func TestCloudRun_WorkerPools(t *testing.T) {
	paths, err := filepath.Glob("../cloudrun/*.yaml")
	if err != nil || len(paths) < 2 {
		t.Fatalf("%q, %v", paths, err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var pool run.WorkerPool
		if err := yaml.UnmarshalStrict(text, &pool); err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if pool.Kind != "WorkerPool" || pool.ApiVersion != "run.googleapis.com/v1" {
			t.Errorf("%s: %s %s", path, pool.ApiVersion, pool.Kind)
		}
		for _, of := range []map[string]string{pool.Metadata.Annotations, pool.Spec.Template.Metadata.Annotations} {
			for a, v := range of {
				if !slices.Contains(annotations(), a) {
					t.Errorf("%s: annotation %s", path, a)
				}
				if strings.HasPrefix(v, "[") || strings.HasPrefix(v, "{") {
					if !json.Valid([]byte(v)) {
						t.Errorf("%s: annotation %s is no JSON", path, a)
					}
				}
			}
		}
		containers(t, path, pool.Spec.Template.Spec)
	}
}

func containers(t *testing.T, path string, spec *run.RevisionSpec) {
	t.Helper()
	volumes := make(map[string]bool)
	for _, v := range spec.Volumes {
		volumes[v.Name] = v.Secret != nil && v.Secret.SecretName != ""
	}
	for _, c := range spec.Containers {
		if p := c.StartupProbe; p == nil || p.PeriodSeconds*p.FailureThreshold > 240 || p.TimeoutSeconds > p.PeriodSeconds {
			t.Errorf("%s: %s: no startup probe, or one that Cloud Run refuses", path, c.Name)
		}
		for _, m := range c.VolumeMounts {
			if !volumes[m.Name] {
				t.Errorf("%s: %s: no volume %s", path, c.Name, m.Name)
			}
		}
		if c.Name != "spancast" {
			continue
		}
		env := make(map[string]string)
		for _, e := range c.Env {
			env[e.Name] = e.Value
		}
		knownVariables(t, path, env)
		accepted(t, path, c.Args, env)
		closed(t, path, env)
	}
}

// TestCompose_VariablesExist and commands too.
func TestCompose_VariablesExist(t *testing.T) {
	text, err := os.ReadFile("../compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Services map[string]struct {
			Image       string
			Command     []string
			Environment map[string]string
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Services) < 4 {
		t.Errorf("%d services", len(file.Services))
	}
	for name, s := range file.Services {
		knownVariables(t, "compose: "+name, s.Environment)
		if s.Image != "spancast" {
			continue
		}
		if len(s.Command) == 0 {
			s.Command = []string{"serve"}
		}
		accepted(t, "compose: "+name, s.Command, s.Environment)
	}
}
