// Package test holds what is under deploy to the rules of those who read it:
// manifests are rendered, decoded strictly, held to the restricted Pod Security
// level and to each other; dashboards and alerts to the metrics that there are.
// It is a module of its own, so that Spancast does not depend on Kubernetes.
package test
