package formats

import (
	"encoding/base64"
	"os"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"muster/internal/seed/script"
)

func TestTerraformTakesTheSnippet(t *testing.T) {
	dir := t.TempDir()
	text := userData(t, script.CloudConfig)
	write(t, 0o600, string(text), dir, "user-data")
	file, problems := hclsyntax.ParseConfig([]byte(snippets(t, "hcl")[0]), "aws.md", hcl.InitialPos)
	if problems.HasErrors() {
		t.Fatal(problems)
	}
	blocks := make(map[string]*hclsyntax.Block)
	variables := make(map[string]cty.Value)
	for _, b := range file.Body.(*hclsyntax.Body).Blocks {
		switch b.Type {
		case "variable":
			variables[b.Labels[0]] = cty.StringVal(b.Labels[0])
		case "resource":
			blocks[b.Labels[0]] = b
		default:
			t.Errorf("a block %s", b.Type)
		}
	}
	template, group := blocks["aws_launch_template"], blocks["aws_autoscaling_group"]
	if len(blocks) != 2 || template == nil || group == nil {
		t.Fatalf("the resources are %v", blocks)
	}
	known := &hcl.EvalContext{
		Variables: map[string]cty.Value{
			"var":  cty.ObjectVal(variables),
			"path": cty.ObjectVal(map[string]cty.Value{"module": cty.StringVal(dir)}),
			"aws_launch_template": cty.ObjectVal(map[string]cty.Value{template.Labels[1]: cty.ObjectVal(map[string]cty.Value{
				"id": cty.StringVal("lt-1"), "latest_version": cty.NumberIntVal(1),
			})}),
		},
		Functions: map[string]function.Function{"filebase64": function.New(&function.Spec{
			Params: []function.Parameter{{Type: cty.String}}, Type: function.StaticReturnType(cty.String),
			Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
				data, err := os.ReadFile(args[0].AsString())
				return cty.StringVal(base64.StdEncoding.EncodeToString(data)), err
			},
		})},
	}
	// Every expression is evaluated: none names a variable or a resource that is not there.
	values := make(map[string]cty.Value)
	var evaluate func(prefix string, body *hclsyntax.Body)
	evaluate = func(prefix string, body *hclsyntax.Body) {
		for name, a := range body.Attributes {
			v, problems := a.Expr.Value(known)
			if problems.HasErrors() {
				t.Errorf("%s: %v", name, problems)
			}
			values[prefix+name] = v
		}
		for _, b := range body.Blocks {
			evaluate(prefix+b.Type+".", b.Body)
		}
	}
	evaluate("template.", template.Body)
	evaluate("group.", group.Body)
	for name, want := range map[string]cty.Value{
		"template.user_data":                                    cty.StringVal(base64.StdEncoding.EncodeToString(text)),
		"template.metadata_options.http_endpoint":               cty.StringVal("enabled"),
		"template.metadata_options.http_tokens":                 cty.StringVal("required"),
		"template.metadata_options.http_put_response_hop_limit": cty.NumberIntVal(1),
		"group.launch_template.id":                              cty.StringVal("lt-1"),
	} {
		if got := values[name]; got == cty.NilVal || !got.RawEquals(want) {
			t.Errorf("%s is %#v, want %#v", name, got, want)
		}
	}
}
