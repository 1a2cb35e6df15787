package main

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"melo.example/melo/lora/trust"
)

// TestDeployedSettings: what units and manifests give "melo serve" are settings that it has, with values that can be.
func TestDeployedSettings(t *testing.T) {
	deploy := filepath.Join("..", "..", "deploy")
	unit := string(read(t, filepath.Join(deploy, "systemd", "melo.service")))
	_, line, ok := strings.Cut(unit, "\nExecStart=/usr/local/bin/melo serve --config /etc/melo/melo.yaml ")
	line, _, _ = strings.Cut(line, "\n")
	if !ok {
		t.Fatal("the unit has another command")
	}
	got := printed(t, append([]string{"--config", filepath.Join(deploy, "systemd", "melo.yaml")}, strings.Fields(line)...)...)
	for name, want := range map[string]string{"trust": "/etc/melo/trusted-keys", "allow": "/etc/melo/allowed-adapters", "audit-log": "/var/log/melo/audit.jsonl"} {
		if got[name].Value != want {
			t.Errorf("unit: %s is %v, want %s", name, got[name].Value, want)
		}
	}
	var manifest struct {
		Spec struct {
			Template struct {
				Spec struct{ Containers []struct{ Args []string } }
			}
		}
	}
	if err := yaml.Unmarshal(read(t, filepath.Join(deploy, "kubernetes", "deployment.yaml")), &manifest); err != nil {
		t.Fatal(err)
	}
	args := manifest.Spec.Template.Spec.Containers[0].Args
	if len(args) < 10 || args[0] != "serve" {
		t.Fatalf("the deployment has the arguments %q", args)
	}
	args = args[1:]
	trusted := string(read(t, filepath.Join(deploy, "kubernetes-trusted", "kustomization.yaml")))
	for _, m := range regexp.MustCompile(`value: (--[^}]+)}`).FindAllStringSubmatch(trusted, -1) {
		args = append(args, m[1])
	}
	if got := printed(t, args...); got["trust"].Value != "/trust/trusted-keys" || got["allow"].Value != "/trust/allowed-adapters" {
		t.Errorf("the deployment with trust: %v, %v", got["trust"].Value, got["allow"].Value)
	}
	// The lists that somebody has to fill in can be read, and let nothing in.
	folder := filepath.Join(deploy, "kubernetes-trusted")
	policy, err := trust.Read(filepath.Join(folder, "allowed-adapters"), filepath.Join(folder, "trusted-keys"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := policy.Check("sha256:"+strings.Repeat("0", 64), "busi", nil); err == nil {
		t.Error("empty lists trust an adapter")
	}
}
