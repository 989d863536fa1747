package render

import (
	"strings"
	"text/template/parse"
)

// The functions that the rewriting puts into a parsed template. They are added after parsing, so no template can name
// them.
const (
	checkPrint     = "musterPrint"
	checkCondition = "musterCondition"
	checkRange     = "musterRange"
	checkArgument  = "musterArgument"
	checkStep      = "musterStep"
	checkEnter     = "musterEnter"
	checkLeave     = "musterLeave"
)

// rewrite makes every value of a parsed template pass through a check on its way into a condition, a range, a function
// or the output. The template language's own functions stay what they are.
//
//	{{ if eq .Param.a .Host.Name }}   becomes   {{ if eq (.Param.a | musterArgument "eq") (.Host.Name | musterArgument "eq") | musterCondition "if" }}
//	{{ .Host.Name | json }}           becomes   {{ .Host.Name | json | musterPrint ".Host.Name | json" }}
func (x *execution) rewrite(tree *parse.Tree) {
	x.list(tree.Root)
	at := tree.Root.Pos
	nodes := append([]parse.Node{bare(checkEnter, at)}, tree.Root.Nodes...)
	tree.Root.Nodes = append(nodes, bare(checkLeave, at))
}

func (x *execution) list(list *parse.ListNode) {
	if list == nil {
		return
	}
	for _, node := range list.Nodes {
		x.node(node)
	}
}

func (x *execution) node(node parse.Node) {
	switch n := node.(type) {
	case *parse.ActionNode:
		shown := n.Pipe.String()
		x.pipe(n.Pipe)
		// A declaration or assignment prints nothing, and a variable may hold a late value.
		if len(n.Pipe.Decl) == 0 {
			n.Pipe.Cmds = append(n.Pipe.Cmds, command(checkPrint, shown, n.Pipe.Cmds[0].Pos))
		}
	case *parse.IfNode:
		x.branch(&n.BranchNode, checkCondition, "an if condition")
	case *parse.WithNode:
		x.branch(&n.BranchNode, checkCondition, "a with condition")
	case *parse.RangeNode:
		x.branch(&n.BranchNode, checkRange, "range")
		n.List.Nodes = append([]parse.Node{bare(checkStep, n.Pos)}, n.List.Nodes...)
	case *parse.TemplateNode:
		x.pipe(n.Pipe)
	case *parse.ListNode:
		x.list(n)
	}
}

func (x *execution) branch(n *parse.BranchNode, check, use string) {
	x.pipe(n.Pipe)
	n.Pipe.Cmds = append(n.Pipe.Cmds, command(check, use, n.Pipe.Cmds[0].Pos))
	x.list(n.List)
	x.list(n.ElseList)
}

// pipe puts a check before each function that a value is piped into, and around each argument.
func (x *execution) pipe(p *parse.PipeNode) {
	if p == nil {
		return
	}
	cmds := make([]*parse.CommandNode, 0, len(p.Cmds))
	for i, cmd := range p.Cmds {
		for _, arg := range cmd.Args {
			x.operand(arg)
		}
		if name, ok := function(cmd); ok {
			for j, arg := range cmd.Args[1:] {
				cmd.Args[j+1] = wrapped(arg, name)
			}
			if i > 0 {
				cmds = append(cmds, command(checkArgument, name, cmd.Pos))
			}
		}
		cmds = append(cmds, cmd)
	}
	p.Cmds = cmds
}

// function names the function that a command calls.
func function(cmd *parse.CommandNode) (name string, ok bool) {
	id, ok := cmd.Args[0].(*parse.IdentifierNode)
	if !ok {
		return "", false
	}
	return id.Ident, true
}

// operand descends into parentheses. It also moves a field's position, which the parser puts at the second name of a
// chain, to its first.
func (x *execution) operand(node parse.Node) {
	switch n := node.(type) {
	case *parse.PipeNode:
		x.pipe(n)
	case *parse.ChainNode:
		x.operand(n.Node)
	case *parse.FieldNode:
		if len(n.Ident) > 1 {
			n.Pos = x.before(n.Pos, "."+n.Ident[0])
		}
	case *parse.VariableNode:
		if len(n.Ident) > 1 {
			n.Pos = x.before(n.Pos, n.Ident[0])
		}
	}
}

func (x *execution) before(at parse.Pos, text string) parse.Pos {
	if int(at) <= len(x.text) && strings.HasSuffix(x.text[:at], text) {
		return at - parse.Pos(len(text))
	}
	return at
}

// wrapped makes (arg | musterArgument "name") of what is not a constant.
func wrapped(arg parse.Node, name string) parse.Node {
	switch arg.(type) {
	case *parse.BoolNode, *parse.NilNode, *parse.NumberNode, *parse.StringNode:
		return arg
	}
	at := arg.Position()
	value := &parse.CommandNode{NodeType: parse.NodeCommand, Pos: at, Args: []parse.Node{arg}}
	return pipeline(at, value, command(checkArgument, name, at))
}

func command(check, text string, at parse.Pos) *parse.CommandNode {
	quoted := &parse.StringNode{NodeType: parse.NodeString, Pos: at, Quoted: `""`, Text: text}
	return &parse.CommandNode{NodeType: parse.NodeCommand, Pos: at, Args: []parse.Node{identifier(check, at), quoted}}
}

// bare makes an action of a check that takes no value and prints nothing.
func bare(check string, at parse.Pos) parse.Node {
	cmd := &parse.CommandNode{NodeType: parse.NodeCommand, Pos: at, Args: []parse.Node{identifier(check, at)}}
	return &parse.ActionNode{NodeType: parse.NodeAction, Pos: at, Pipe: pipeline(at, cmd)}
}

func identifier(name string, at parse.Pos) parse.Node { return parse.NewIdentifier(name).SetPos(at) }

func pipeline(at parse.Pos, cmds ...*parse.CommandNode) *parse.PipeNode {
	return &parse.PipeNode{NodeType: parse.NodePipe, Pos: at, Cmds: cmds}
}
