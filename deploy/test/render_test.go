package test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// manifests are where they are.
const manifests = "../kubernetes"

// A podMonitor is what both kinds of it have in common, of those fields that are
// used here.
type podMonitor struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Selector            metav1.LabelSelector `json:"selector"`
		Endpoints           []scrape             `json:"endpoints"`
		PodMetricsEndpoints []scrape             `json:"podMetricsEndpoints"`
	} `json:"spec"`
}

type scrape struct {
	Port     string `json:"port"`
	Path     string `json:"path"`
	Interval string `json:"interval"`
}

// empty returns a new object of a kind.
func empty(kind string) any {
	switch kind {
	case "v1 Namespace":
		return new(corev1.Namespace)
	case "v1 ServiceAccount":
		return new(corev1.ServiceAccount)
	case "v1 ConfigMap":
		return new(corev1.ConfigMap)
	case "v1 Service":
		return new(corev1.Service)
	case "apps/v1 Deployment":
		return new(appsv1.Deployment)
	case "apps/v1 StatefulSet":
		return new(appsv1.StatefulSet)
	case "batch/v1 Job":
		return new(batchv1.Job)
	case "policy/v1 PodDisruptionBudget":
		return new(policyv1.PodDisruptionBudget)
	case "autoscaling/v2 HorizontalPodAutoscaler":
		return new(autoscalingv2.HorizontalPodAutoscaler)
	case "networking.k8s.io/v1 NetworkPolicy":
		return new(networkingv1.NetworkPolicy)
	case "monitoring.googleapis.com/v1 PodMonitoring", "monitoring.coreos.com/v1 PodMonitor":
		return new(podMonitor)
	}
	return nil
}

// A rendering is what a kustomization comes to.
type rendering struct {
	objects []any
	pods    []pod
	configs map[string]map[string]string // of ConfigMaps, by name
}

// A pod is a pod template and whose it is.
type pod struct {
	owner    string
	template corev1.PodTemplateSpec
}

// renderings are all kustomizations that people would use, and combinations of
// components with what they are for.
func renderings(t *testing.T) map[string]*rendering {
	t.Helper()
	out := make(map[string]*rendering)
	for name, dir := range map[string]string{
		"emulator":                             manifests + "/overlays/emulator",
		"gke":                                  manifests + "/overlays/gke",
		"gke with forwarder":                   combine(t, "overlays/gke", "components/forwarder", "components/forwarder-curve"),
		"emulator with operator and forwarder": combine(t, "overlays/emulator", "components/podmonitor", "components/forwarder"),
	} {
		out[name] = render(t, name, dir)
	}
	return out
}

// combine writes a kustomization of a base and components.
func combine(t *testing.T, base string, components ...string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs(manifests)
	if err != nil {
		t.Fatal(err)
	}
	relative := func(path string) string {
		r, err := filepath.Rel(dir, filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	text := "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [" + relative(base) + "]\ncomponents:\n"
	for _, c := range components {
		text += "  - " + relative(c) + "\n"
	}
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func render(t *testing.T, name, dir string) *rendering {
	t.Helper()
	result, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	text, err := result.AsYaml()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	r := &rendering{configs: make(map[string]map[string]string)}
	for _, doc := range bytes.Split(text, []byte("\n---\n")) {
		var kind metav1.TypeMeta
		if err := yaml.Unmarshal(doc, &kind); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		object := empty(kind.APIVersion + " " + kind.Kind)
		if object == nil {
			t.Fatalf("%s: a %s %s is not expected", name, kind.APIVersion, kind.Kind)
		}
		if err := yaml.UnmarshalStrict(doc, object); err != nil {
			t.Errorf("%s: %s: %v", name, kind.Kind, err)
		}
		r.add(object)
	}
	return r
}

func (r *rendering) add(object any) {
	r.objects = append(r.objects, object)
	switch o := object.(type) {
	case *appsv1.Deployment:
		r.pods = append(r.pods, pod{"Deployment " + o.Name, o.Spec.Template})
	case *appsv1.StatefulSet:
		r.pods = append(r.pods, pod{"StatefulSet " + o.Name, o.Spec.Template})
	case *batchv1.Job:
		r.pods = append(r.pods, pod{"Job " + o.Name, o.Spec.Template})
	case *corev1.ConfigMap:
		r.configs[o.Name] = o.Data
	}
}

// environment is what a container gets; a ConfigMap that is not there is an error.
func (r *rendering) environment(c corev1.Container) (map[string]string, error) {
	env := make(map[string]string)
	for _, from := range c.EnvFrom {
		data, ok := r.configs[from.ConfigMapRef.Name]
		if !ok {
			return nil, fmt.Errorf("no ConfigMap %s", from.ConfigMapRef.Name)
		}
		for k, v := range data {
			env[k] = v
		}
	}
	for _, e := range c.Env {
		env[e.Name] = e.Value
	}
	return env, nil
}

// isSpancast tells whether a container is of Spancast's image.
func isSpancast(c corev1.Container) bool { return strings.Contains(c.Image, "spancast") }
