package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// TestKubernetes_PodsAreRestricted: every pod meets the restricted Pod Security
// level, has no token, no injected variables, limits, and an image with a version.
func TestKubernetes_PodsAreRestricted(t *testing.T) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range renderings(t) {
		if len(r.pods) == 0 {
			t.Errorf("%s: no pods", name)
		}
		for _, p := range r.pods {
			result := policy.AggregateCheckResults(evaluator.EvaluatePod(api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}, &p.template.ObjectMeta, &p.template.Spec))
			if !result.Allowed {
				t.Errorf("%s: %s: %s", name, p.owner, result.ForbiddenDetail())
			}
			spec := p.template.Spec
			if spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken || spec.EnableServiceLinks == nil || *spec.EnableServiceLinks {
				t.Errorf("%s: %s: a token is mounted, or service links are on", name, p.owner)
			}
			for _, c := range spec.Containers {
				if _, version, ok := strings.Cut(c.Image[strings.LastIndex(c.Image, "/")+1:], ":"); !ok || version == "latest" {
					t.Errorf("%s: %s: image %s has no version", name, p.owner, c.Image)
				}
				if c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Memory().IsZero() {
					t.Errorf("%s: %s: no limit of memory", name, p.owner)
				}
				if ro := c.SecurityContext.ReadOnlyRootFilesystem; ro == nil || !*ro {
					t.Errorf("%s: %s: the file system can be written", name, p.owner)
				}
			}
		}
	}
}

// TestKubernetes_ThingsFindEachOther: selectors match pods, ports are those of
// containers, targets exist.
func TestKubernetes_ThingsFindEachOther(t *testing.T) {
	for name, r := range renderings(t) {
		for _, object := range r.objects {
			switch o := object.(type) {
			case *corev1.Service:
				for _, p := range o.Spec.Ports {
					r.reaches(t, name+": Service "+o.Name, labels.SelectorFromSet(o.Spec.Selector), p.TargetPort)
				}
			case *policyv1.PodDisruptionBudget:
				r.reaches(t, name+": PodDisruptionBudget", selector(t, o.Spec.Selector), intstr.IntOrString{})
			case *networkingv1.NetworkPolicy:
				for _, rule := range o.Spec.Ingress {
					for _, p := range rule.Ports {
						r.reaches(t, name+": NetworkPolicy", selector(t, &o.Spec.PodSelector), *p.Port)
					}
				}
			case *podMonitor:
				for _, e := range append(o.Spec.Endpoints, o.Spec.PodMetricsEndpoints...) {
					r.reaches(t, name+": "+o.Kind, selector(t, &o.Spec.Selector), intstr.FromString(e.Port))
				}
			case *autoscalingv2.HorizontalPodAutoscaler:
				if !slices.ContainsFunc(r.pods, func(p pod) bool { return p.owner == o.Spec.ScaleTargetRef.Kind+" "+o.Spec.ScaleTargetRef.Name }) {
					t.Errorf("%s: nothing to scale", name)
				}
			case *appsv1.Deployment:
				r.reaches(t, name+": Deployment "+o.Name, selector(t, o.Spec.Selector), intstr.IntOrString{})
			}
		}
		for _, p := range r.pods {
			probesAndMounts(t, name, p)
		}
	}
}

func selector(t *testing.T, s *metav1.LabelSelector) labels.Selector {
	t.Helper()
	out, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// reaches checks that some pod has the labels, and the port if one is named.
func (r *rendering) reaches(t *testing.T, who string, s labels.Selector, port intstr.IntOrString) {
	t.Helper()
	found := false
	for _, p := range r.pods {
		if s.Empty() || !s.Matches(labels.Set(p.template.Labels)) {
			continue
		}
		for _, c := range p.template.Spec.Containers {
			found = found || port == (intstr.IntOrString{}) || hasPort(c, port)
		}
	}
	if !found {
		t.Errorf("%s reaches no pod (%s, port %s)", who, s, port.String())
	}
}

func hasPort(c corev1.Container, port intstr.IntOrString) bool {
	return slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool {
		return p.Name == port.StrVal && port.StrVal != "" || p.ContainerPort == port.IntVal && port.IntVal != 0
	})
}

func probesAndMounts(t *testing.T, name string, p pod) {
	t.Helper()
	volumes := make(map[string]bool)
	for _, v := range p.template.Spec.Volumes {
		volumes[v.Name] = true
	}
	for _, c := range p.template.Spec.Containers {
		for _, probe := range []*corev1.Probe{c.StartupProbe, c.ReadinessProbe, c.LivenessProbe} {
			if probe != nil && !hasPort(c, probe.HTTPGet.Port) {
				t.Errorf("%s: %s: a probe of port %s", name, p.owner, probe.HTTPGet.Port.String())
			}
		}
		for _, m := range c.VolumeMounts {
			if !volumes[m.Name] {
				t.Errorf("%s: %s: no volume %s", name, p.owner, m.Name)
			}
		}
		if c.Lifecycle != nil && *p.template.Spec.TerminationGracePeriodSeconds < c.Lifecycle.PreStop.Sleep.Seconds+10 {
			t.Errorf("%s: %s: too little time to drain", name, p.owner)
		}
	}
}

// variables are those of the configuration, from its documentation, which a test
// of its own holds to the program.
func variables(t *testing.T) map[string]bool {
	t.Helper()
	text, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]bool)
	for _, m := range regexp.MustCompile("(?m)^\\| `(SPANCAST_[A-Z_]+)` \\|").FindAllSubmatch(text, -1) {
		out[string(m[1])] = true
	}
	if len(out) < 20 {
		t.Fatalf("only %d variables in docs/configuration.md", len(out))
	}
	return out
}

// coming are variables that manifests name and that other work in progress brings.
// What the program has is not taken from here.
func coming() []string {
	return []string{"SPANCAST_RECOVERY_BIND", "SPANCAST_CURVE_SECRET_KEY_FILE", "SPANCAST_ACCESS_FILE"}
}

// knownVariables checks names of variables.
func knownVariables(t *testing.T, where string, env map[string]string) {
	t.Helper()
	known := variables(t)
	for variable := range env {
		if strings.HasPrefix(variable, "SPANCAST_") && !known[variable] && !slices.Contains(coming(), variable) {
			t.Errorf("%s: %s is no variable of the configuration", where, variable)
		}
	}
}

// binary is spancast, built once.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "spancast-deploy-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "spancast")
	cmd := exec.Command("go", "build", "-o", path, "./cmd/spancast")
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", &exec.Error{Name: string(out), Err: err}
	}
	return path, nil
})

// TestKubernetes_ContainersRun: their commands exist, their variables too, and
// spancast finds nothing wrong with the configuration of replicas.
func TestKubernetes_ContainersRun(t *testing.T) {
	for name, r := range renderings(t) {
		for _, p := range r.pods {
			for _, c := range p.template.Spec.Containers {
				if !isSpancast(c) {
					continue
				}
				env, err := r.environment(c)
				if err != nil {
					t.Fatalf("%s: %s: %v", name, p.owner, err)
				}
				knownVariables(t, name+": "+p.owner, env)
				accepted(t, name+": "+p.owner, c.Args, env)
			}
		}
	}
}

// accepted asks spancast about a command and its configuration. Files that only
// exist in the cluster are left out, and what they are for is allowed to be missing.
func accepted(t *testing.T, where string, args []string, env map[string]string) {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(path, append(slices.Clone(args), "--help")...).CombinedOutput(); err != nil {
		t.Errorf("%s: spancast %s: %v\n%s", where, strings.Join(args, " "), err, out)
	}
	if args[0] != "serve" {
		return
	}
	known, check := variables(t), exec.Command(path, "validate", "--offline")
	check.Env = []string{"SPANCAST_ALLOW_INSECURE=true"}
	for k, v := range env {
		if !strings.HasPrefix(k, "SPANCAST_") || known[k] && !strings.HasSuffix(k, "_FILE") {
			check.Env = append(check.Env, k+"="+v)
		}
	}
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("%s: spancast validate --offline: %v\n%s", where, err, out)
	}
}
