//go:build tools

// What is built from other modules, so that go.mod holds their versions and go.sum their sums.
package tools

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kubectl"
)
