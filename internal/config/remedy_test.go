package config

import "testing"

func TestWhatTheBundleSaysOfAListIsTheRemedyOfItsItems(t *testing.T) {
	for name, tt := range map[string]struct{ parameters, want string }{
		"an item":              {"{resolvers: [10.0.0.1, foo]}", "list up to three name servers by address"},
		"the list":             {"{resolvers: foo}", "list up to three name servers by address"},
		"an item of a mapping": {"{labels: {a: 1}}", `put it in quotes: "1"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, problems := ParseCluster("cluster.yaml", []byte(clusterRest+"parameters: "+tt.parameters+"\n"), testBundle(t))
			if len(problems) != 1 || problems[0].Remedy != tt.want {
				t.Errorf("said %+v, want the remedy %q", problems, tt.want)
			}
		})
	}
}
