package settings

import "testing"

func FuzzParse(f *testing.F) {
	names := []string{"base", "listen", "oidc-roles", "allowed-host"}
	f.Add("base: x\nlisten: \"127.0.0.1:1\"\nallowed-host: [a, b]\noidc-roles: {a: viewer}\n")
	f.Add("base: &a [*a]")
	f.Add("? [a]\n: b")
	f.Add("base: !!binary |\n  aGVsbG8=")
	f.Fuzz(func(t *testing.T, text string) {
		found, err := Parse([]byte(text), names)
		for name := range found {
			if err != nil || name != "base" && name != "listen" && name != "oidc-roles" && name != "allowed-host" {
				t.Errorf("%q came out of %q, %v", name, text, err)
			}
		}
	})
}

// Kubernetes tells containers of the Services beside them, also of one that is called melo.
func TestKubernetesVariables(t *testing.T) {
	found, err := Environment([]string{"MELO_SERVICE_HOST=10.0.0.1", "MELO_SERVICE_PORT=8080", "MELO_SERVICE_PORT_HTTP=8080", "MELO_PORT=tcp://10.0.0.1:8080",
		"MELO_PORT_8080_TCP=tcp://10.0.0.1:8080", "MELO_PORT_8080_TCP_PROTO=tcp", "MELO_PORT_8080_TCP_PORT=8080", "MELO_PORT_8080_TCP_ADDR=10.0.0.1",
		"MELO_GRPC_SERVICE_HOST=10.0.0.2", "MELO_GRPC_PORT_8081_TCP=tcp://10.0.0.2:8081", "MELO_RATE=5"}, []string{"rate", "listen"}, nil)
	if err != nil || len(found) != 1 || found["rate"] != "5" {
		t.Errorf("%v, %v", found, err)
	}
	for _, wrong := range []string{"MELO_SERVICE=1", "MELO_PORT_X=1", "MELO_RAET=5"} {
		if _, err := Environment([]string{wrong}, []string{"rate"}, nil); err == nil {
			t.Errorf("%s is taken", wrong)
		}
	}
}

func TestSize(t *testing.T) {
	for text, want := range map[string]Size{"0": 0, "12": 12, "1KiB": 1024, "64 MiB": 64 << 20, "2GiB": 2 << 30, "3kB": 3000, "5MB": 5e6, "7GB": 7e9, "9B": 9} {
		var b Size
		if err := b.UnmarshalText([]byte(text)); err != nil || b != want {
			t.Errorf("%q: got %d, %v, want %d", text, b, err, want)
		}
		out, _ := b.MarshalText()
		var again Size
		if err := again.UnmarshalText(out); err != nil || again != b {
			t.Errorf("%q was written as %q", text, out)
		}
	}
	for _, text := range []string{"", "x", "-1", "1.5MiB", "9223372036854775807GiB", "MiB", "1TiB"} {
		if err := new(Size).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}
