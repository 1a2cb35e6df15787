package host

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Alerts and dashboards are about metrics that there are.
func TestDeployedMetricsExist(t *testing.T) {
	source := ""
	for _, pattern := range []string{"*.go", "../telemetry/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") {
				continue
			}
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			source += string(text)
		}
	}
	names, found := regexp.MustCompile(`melo_[a-z_]+`), 0
	for _, f := range []string{"../../deploy/prometheus/alerts.yaml", "../../deploy/grafana/melo.json"} {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names.FindAllString(string(text), -1) {
			found++
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				name = strings.TrimSuffix(name, suffix)
			}
			if !strings.Contains(source, `"`+name+`"`) {
				t.Errorf("%s: there is no metric %s", f, name)
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d names", found)
	}
}
