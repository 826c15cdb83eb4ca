package template

import (
	"errors"
	"regexp"

	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// tagFunctions are the functions of Terraform's language that work on strings,
// numbers and collections. None of them reads a file or the clock, and none
// makes much out of little.
func tagFunctions() map[string]function.Function {
	return map[string]function.Function{
		"abs": stdlib.AbsoluteFunc, "can": tryfunc.CanFunc, "ceil": stdlib.CeilFunc, "chomp": stdlib.ChompFunc,
		"coalesce": stdlib.CoalesceFunc, "compact": stdlib.CompactFunc, "concat": stdlib.ConcatFunc, "contains": stdlib.ContainsFunc,
		"distinct": stdlib.DistinctFunc, "element": stdlib.ElementFunc, "flatten": stdlib.FlattenFunc, "floor": stdlib.FloorFunc,
		"format": checked(stdlib.FormatFunc, checkFormat), "join": checked(stdlib.JoinFunc, checkText),
		"jsondecode": stdlib.JSONDecodeFunc, "jsonencode": stdlib.JSONEncodeFunc, "keys": stdlib.KeysFunc, "length": stdlib.LengthFunc,
		"lookup": stdlib.LookupFunc, "lower": stdlib.LowerFunc, "max": stdlib.MaxFunc, "merge": stdlib.MergeFunc, "min": stdlib.MinFunc,
		"parseint": stdlib.ParseIntFunc, "regex": stdlib.RegexFunc, "replace": checked(replaceFunction(), checkText),
		"reverse": stdlib.ReverseListFunc, "slice": stdlib.SliceFunc, "sort": stdlib.SortFunc,
		"split": stdlib.SplitFunc, "strrev": stdlib.ReverseFunc, "substr": stdlib.SubstrFunc, "title": stdlib.TitleFunc,
		"trim": stdlib.TrimFunc, "trimprefix": stdlib.TrimPrefixFunc, "trimspace": stdlib.TrimSpaceFunc, "trimsuffix": stdlib.TrimSuffixFunc,
		"try": tryfunc.TryFunc, "upper": stdlib.UpperFunc, "values": stdlib.ValuesFunc, "zipmap": stdlib.ZipmapFunc,
	}
}

// replaceFunction is Terraform's: a pattern between slashes is a regular expression.
func replaceFunction() function.Function {
	text := func(name string) function.Parameter { return function.Parameter{Name: name, Type: cty.String} }
	return function.New(&function.Spec{
		Params: []function.Parameter{text("str"), text("substr"), text("replace")},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			if pattern := args[1].AsString(); len(pattern) > 1 && pattern[0] == '/' && pattern[len(pattern)-1] == '/' {
				return stdlib.RegexReplace(args[0], cty.StringVal(pattern[1:len(pattern)-1]), args[2])
			}
			return stdlib.Replace(args[0], args[1], args[2])
		},
	})
}

// checked calls a function after looking at its arguments.
func checked(f function.Function, check func([]cty.Value) error) function.Function {
	return function.New(&function.Spec{
		Params: f.Params(), VarParam: f.VarParam(), Type: f.ReturnTypeForValues,
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			if err := check(args); err != nil {
				return cty.NilVal, err
			}
			return f.Call(args)
		},
	})
}

var errLong = errors.New("the text is too long for a workspace tag")

func checkText(args []cty.Value) error {
	for _, a := range args {
		if a.Type() == cty.String && a.IsKnown() && !a.IsNull() && len(a.AsString()) > maxTag {
			return errLong
		}
	}
	return nil
}

// checkFormat also refuses widths such as %999999999s.
func checkFormat(args []cty.Value) error {
	if len(args) > 0 && args[0].Type() == cty.String && args[0].IsKnown() && !args[0].IsNull() &&
		regexp.MustCompile(`[0-9]{4}|\*`).MatchString(args[0].AsString()) {
		return errors.New("format with a width of four digits or *")
	}
	return checkText(args)
}
