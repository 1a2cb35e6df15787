package torchfile

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"melo.example/melo/internal/pickle"
	"melo.example/melo/safetensors"
)

// storageTypes maps storage classes to their element types. Tensors of other types use the class UntypedStorage
// and give their type separately.
var storageTypes = map[string]safetensors.DType{
	"FloatStorage": safetensors.F32, "HalfStorage": safetensors.F16, "BFloat16Storage": safetensors.BF16, "DoubleStorage": safetensors.F64,
	"LongStorage": safetensors.I64, "IntStorage": safetensors.I32, "ShortStorage": safetensors.I16, "CharStorage": safetensors.I8,
	"ByteStorage": safetensors.U8, "BoolStorage": safetensors.Bool, "UntypedStorage": safetensors.U8,
}

var dtypes = map[string]safetensors.DType{
	"float32": safetensors.F32, "float": safetensors.F32, "float16": safetensors.F16, "half": safetensors.F16, "bfloat16": safetensors.BF16,
	"float64": safetensors.F64, "double": safetensors.F64, "int64": safetensors.I64, "int32": safetensors.I32, "int16": safetensors.I16,
	"int8": safetensors.I8, "uint8": safetensors.U8, "bool": safetensors.Bool, "uint16": safetensors.U16, "uint32": safetensors.U32,
	"uint64": safetensors.U64, "float8_e4m3fn": safetensors.F8E4M3, "float8_e5m2": safetensors.F8E5M2,
}

// rebuilders lists the functions that create tensors.
var rebuilders = []string{
	"torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor_v3",
	"torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state", "torch._tensor._rebuild_from_type_v2",
	"torch.jit._pickle.restore_type_tag", "torch.jit._pickle.build_intlist", "torch.jit._pickle.build_tensorlist",
	"torch.jit._pickle.build_doublelist", "torch.jit._pickle.build_boollist",
}

// data lists classes and functions whose results are plain data and which trainers store beside tensors. They
// become plain data, or a placeholder from which no tensor can be made.
var data = []string{
	"collections.OrderedDict", "collections.defaultdict", "collections.Counter", "builtins.dict", "builtins.list", "builtins.set", "builtins.frozenset",
	"builtins.int", "builtins.float", "builtins.str", "builtins.bool", "builtins.complex", "builtins.slice", "builtins.bytearray",
	"__builtin__.set", "__builtin__.frozenset", "__builtin__.slice", "__builtin__.complex", "__builtin__.bytearray", "__builtin__.list", "__builtin__.dict", "__builtin__.int",
	"argparse.Namespace", "types.SimpleNamespace", "datetime.datetime", "datetime.timedelta",
	"pathlib.PosixPath", "pathlib.WindowsPath", "pathlib.PurePosixPath", "pathlib.Path", "pathlib._local.PosixPath", "pathlib._local.WindowsPath",
	"torch.Size", "torch.device", "torch.Tensor", "torch.nn.parameter.Parameter", "torch.serialization._get_layout",
	"numpy.dtype", "numpy.ndarray", "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar",
	"numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct", "numpy._core.numeric._frombuffer", "_codecs.encode",
	"pytorch_lightning.utilities.parsing.AttributeDict", "lightning_fabric.utilities.data.AttributeDict", "lightning.fabric.utilities.data.AttributeDict",
}

// tensor describes a tensor whose values are still in their storage.
type tensor struct {
	s              *storage
	dtype          safetensors.DType
	offset         int
	shape, strides []int
}

func (a *archive) machine() *pickle.Machine {
	return &pickle.Machine{Call: a.call, New: a.newObject, Known: a.known, Persistent: a.persistent}
}

// own reports whether a class is defined in a TorchScript archive itself. Instances of such classes are plain
// attributes.
func (a *archive) own(g pickle.Global) bool {
	return a.script && (g.Module == "__torch__" || strings.HasPrefix(g.Module, "__torch__."))
}

func (a *archive) known(g pickle.Global) bool {
	name := g.String()
	if g.Module == "torch" || g.Module == "torch.storage" {
		if _, ok := storageTypes[g.Name]; ok {
			return true
		}
		if _, ok := dtypes[g.Name]; ok {
			return true
		}
		switch g.Name {
		case "complex64", "complex128", "ComplexFloatStorage", "ComplexDoubleStorage":
			return true
		}
	}
	return slices.Contains(rebuilders, name) || slices.Contains(data, name) || a.own(g)
}

func (a *archive) newObject(g pickle.Global, args pickle.Tuple) (any, bool) {
	if !a.known(g) {
		return nil, false
	}
	switch g.String() {
	case "collections.OrderedDict", "collections.defaultdict", "builtins.dict", "__builtin__.dict":
		return &pickle.Dict{}, true
	}
	return &pickle.Object{Class: g}, true
}

// call evaluates a function of the list.
func (a *archive) call(g pickle.Global, args pickle.Tuple) (any, bool, error) {
	switch name := g.String(); name {
	case "torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2":
		t, err := rebuild(args, "")
		return t, true, err
	case "torch._utils._rebuild_tensor_v3":
		if len(args) < 7 {
			return nil, true, fmt.Errorf("%s with %d arguments", name, len(args))
		}
		of, _ := args[6].(pickle.Global)
		dtype, ok := dtypes[of.Name]
		if !ok {
			return nil, true, fmt.Errorf("a tensor of %.40v is not supported", args[6])
		}
		t, err := rebuild(args, dtype)
		return t, true, err
	case "torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state", "torch.jit._pickle.restore_type_tag",
		"torch.jit._pickle.build_intlist", "torch.jit._pickle.build_tensorlist", "torch.jit._pickle.build_doublelist", "torch.jit._pickle.build_boollist":
		if len(args) == 0 {
			return nil, true, fmt.Errorf("%s without arguments", name)
		}
		return args[0], true, nil
	case "torch._tensor._rebuild_from_type_v2":
		return a.fromType(args)
	case "collections.OrderedDict", "collections.defaultdict", "builtins.dict", "__builtin__.dict":
		return dictOf(args), true, nil
	}
	if slices.Contains(data, g.String()) || a.own(g) {
		return &pickle.Object{Class: g, State: args}, true, nil
	}
	return nil, false, nil
}

// fromType makes a tensor of a subclass; only Parameter and Tensor are allowed.
func (a *archive) fromType(args pickle.Tuple) (any, bool, error) {
	if len(args) != 4 {
		return nil, true, fmt.Errorf("_rebuild_from_type_v2 with %d arguments, expected 4", len(args))
	}
	f, ok1 := args[0].(pickle.Global)
	class, ok2 := args[1].(pickle.Global)
	inner, ok3 := args[2].(pickle.Tuple)
	if !ok1 || !ok2 || !ok3 || class.String() != "torch.nn.parameter.Parameter" && class.String() != "torch.Tensor" || !strings.HasPrefix(f.Module, "torch._utils") {
		return nil, true, fmt.Errorf("a tensor of class %.80v is refused", args[1])
	}
	return a.call(f, inner)
}

// dictOf makes a dict from pairs, if there are any.
func dictOf(args pickle.Tuple) *pickle.Dict {
	d := &pickle.Dict{}
	for _, arg := range args {
		pairs, ok := arg.(*pickle.List)
		if !ok {
			continue
		}
		for _, p := range pairs.Items {
			var kv []any
			switch p := p.(type) {
			case pickle.Tuple:
				kv = p
			case *pickle.List:
				kv = p.Items
			}
			if len(kv) == 2 {
				d.Keys, d.Values = append(d.Keys, kv[0]), append(d.Values, kv[1])
			}
		}
	}
	return d
}

// persistent finds a storage: ("storage", class, key, device, number of elements), and in old files a sixth
// element.
func (a *archive) persistent(id any) (any, error) {
	t, ok := id.(pickle.Tuple)
	if !ok || len(t) < 5 || t[0] != "storage" {
		return nil, fmt.Errorf("persistent id %.80v, expected that of a storage", id)
	}
	class, ok1 := t[1].(pickle.Global)
	key, ok2 := t[2].(string)
	count, ok3 := t[4].(int64)
	if !ok1 || !ok2 || !ok3 || count < 0 || count > math.MaxInt64/16 {
		return nil, fmt.Errorf("storage %.80v: expected class, key and number of elements", id)
	}
	if len(t) > 5 && t[5] != nil {
		return nil, fmt.Errorf("storage %.60q is a part of another, which is not supported", key)
	}
	dtype, ok := storageTypes[class.Name]
	if !ok {
		return nil, fmt.Errorf("storage %.60q is a %.80v, which is not supported", key, class)
	}
	if s := a.storage[key]; s != nil {
		if s.dtype != dtype || s.count != int(count) {
			return nil, fmt.Errorf("storage %.60q is named twice, and not the same", key)
		}
		return s, nil
	}
	s := &storage{dtype: dtype, size: dtype.Size(), count: int(count)}
	if a.find != nil {
		data, err := a.find(key)
		if err != nil {
			return nil, err
		}
		if len(data)/s.size < s.count {
			return nil, fmt.Errorf("storage %.60q has %d bytes, expected %d elements of %s", key, len(data), count, dtype)
		}
		s.data = data[:s.count*s.size]
	}
	if a.storage == nil {
		a.storage = map[string]*storage{}
	}
	a.storage[key] = s
	return s, nil
}

// rebuild reads storage, offset, shape and strides.
func rebuild(args pickle.Tuple, dtype safetensors.DType) (*tensor, error) {
	if len(args) < 4 {
		return nil, fmt.Errorf("a tensor with %d properties, expected storage, offset, shape and strides", len(args))
	}
	s, ok1 := args[0].(*storage)
	offset, ok2 := args[1].(int64)
	shape, ok3 := sizes(args[2])
	strides, ok4 := sizes(args[3])
	if !ok1 || !ok2 || !ok3 || !ok4 || len(shape) != len(strides) || len(shape) > 16 {
		return nil, fmt.Errorf("a tensor of %.60v from %.40v, strides %.60v: expected a storage, an offset and as many strides as sizes", args[2], args[1], args[3])
	}
	t := &tensor{s: s, dtype: s.dtype, shape: shape, strides: strides}
	count := s.count
	if dtype != "" {
		t.dtype = dtype
		count = s.count * s.size / dtype.Size()
	}
	last, n := offset, 1
	if slices.Contains(shape, 0) {
		n = 0
	}
	for i, d := range shape {
		if n == 0 {
			break
		}
		if n > count/d {
			return nil, fmt.Errorf("a tensor of shape %d, but its storage has %d elements", shape, count)
		}
		n *= d
		if d > 1 && int64(strides[i]) > (int64(count)-last)/int64(d-1) {
			return nil, fmt.Errorf("a tensor of shape %d with strides %d ends behind its storage of %d elements", shape, strides, count)
		}
		last += int64(d-1) * int64(strides[i])
	}
	if offset < 0 || n > 0 && last >= int64(count) || offset > int64(count) {
		return nil, fmt.Errorf("a tensor of shape %d from %d ends behind its storage of %d elements", shape, offset, count)
	}
	t.offset = int(offset)
	return t, nil
}

// sizes reads a tuple of non-negative integers.
func sizes(v any) ([]int, bool) {
	if o, ok := v.(*pickle.Object); ok && o.Class.Name == "Size" { // torch.Size contains a tuple
		if args, ok := o.State.(pickle.Tuple); ok && len(args) == 1 {
			v = args[0]
		}
	}
	var items []any
	switch v := v.(type) {
	case pickle.Tuple:
		items = v
	case *pickle.List:
		items = v.Items
	default:
		return nil, false
	}
	all := make([]int, len(items))
	for i, x := range items {
		n, ok := x.(int64)
		if !ok || n < 0 || n > math.MaxInt32 {
			return nil, false
		}
		all[i] = int(n)
	}
	return all, true
}
