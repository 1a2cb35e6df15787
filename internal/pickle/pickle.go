// Package pickle reads the part of Python's pickle format that saved tensors need, without executing anything:
// every callable comes from a list that the caller supplies, and is implemented in Go. Anything else in a
// stream is an error that names it. See https://docs.python.org/3/library/pickletools.html for the opcodes.
package pickle

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"strconv"
)

// The types below are the values that a stream can create, in addition to nil, bool, int64, *big.Int, float64,
// string, []byte and results of callables.
type (
	// Tuple is an immutable sequence.
	Tuple []any
	// List is a mutable sequence.
	List struct{ Items []any }
	// Dict keeps its entries in stream order. Setting a key again adds a second entry.
	Dict struct{ Keys, Values []any }
	// Global is a class or function, by name, that was not called.
	Global struct{ Module, Name string }
	// Object is an instance of a class whose state is plain data.
	Object struct {
		Class Global
		State any // state from the stream; nil if none
	}
)

// String returns "module.name".
func (g Global) String() string { return g.Module + "." + g.Name }

// Get returns the last value for a string key.
func (d *Dict) Get(key string) (any, bool) {
	for i := len(d.Keys) - 1; i >= 0; i-- {
		if k, ok := d.Keys[i].(string); ok && k == key {
			return d.Values[i], true
		}
	}
	return nil, false
}

// Machine defines what a stream may use.
type Machine struct {
	// Call returns the result of the callable g. ok is false if g must not be called.
	Call func(g Global, args Tuple) (value any, ok bool, err error)
	// New creates an instance of a class before its state is set. ok is false if that is not allowed.
	New func(g Global, args Tuple) (value any, ok bool)
	// Known reports whether a class or function may be referenced at all.
	Known func(g Global) bool
	// Persistent returns the object for a persistent id.
	Persistent func(id any) (any, error)
}

// mark is what the MARK opcode pushes.
type mark struct{}

// most limits the number of values on the stack and in the memo. Each takes at least one byte of the stream.
const most = 1 << 24

// reader is the state while reading a stream.
type reader struct {
	m     *Machine
	data  []byte
	at    int
	stack []any
	memo  map[uint32]any
}

// Decode reads one value from the beginning of data, and returns the number of bytes read.
func (m *Machine) Decode(data []byte) (value any, n int, err error) {
	r := &reader{m: m, data: data, memo: map[uint32]any{}}
	for {
		op, err := r.take(1)
		if err != nil {
			return nil, r.at, err
		}
		if op[0] == '.' {
			v, err := r.pop()
			return v, r.at, err
		}
		at := r.at - 1
		if err := r.step(op[0]); err != nil {
			return nil, r.at, fmt.Errorf("pickle: byte %d: %w", at, err)
		}
		if len(r.stack) > most || len(r.memo) > most {
			return nil, r.at, fmt.Errorf("pickle: more than %d values", most)
		}
	}
}

func (r *reader) take(n int) ([]byte, error) {
	if n < 0 || n > len(r.data)-r.at {
		return nil, fmt.Errorf("pickle: ends at byte %d, %d more were expected", len(r.data), n)
	}
	b := r.data[r.at : r.at+n]
	r.at += n
	return b, nil
}

// counted reads a byte string after its length, which has size bytes.
func (r *reader) counted(size int) ([]byte, error) {
	b, err := r.take(size)
	if err != nil {
		return nil, err
	}
	var wide [8]byte
	copy(wide[:], b)
	n := binary.LittleEndian.Uint64(wide[:])
	if n > uint64(len(r.data)) {
		return nil, fmt.Errorf("%d bytes are announced, the stream has %d", n, len(r.data))
	}
	return r.take(int(n))
}

// line reads up to the next newline.
func (r *reader) line() (string, error) {
	for i := r.at; i < len(r.data); i++ {
		if r.data[i] == '\n' {
			s := string(r.data[r.at:i])
			r.at = i + 1
			return s, nil
		}
	}
	return "", fmt.Errorf("a line does not end")
}

func (r *reader) push(v any) { r.stack = append(r.stack, v) }

func (r *reader) pop() (any, error) {
	if len(r.stack) == 0 {
		return nil, fmt.Errorf("pickle: the stack is empty")
	}
	v := r.stack[len(r.stack)-1]
	r.stack = r.stack[:len(r.stack)-1]
	if _, bad := v.(mark); bad {
		return nil, fmt.Errorf("pickle: a mark in place of a value")
	}
	return v, nil
}

// toMark pops everything above the last mark, and the mark.
func (r *reader) toMark() ([]any, error) {
	for i := len(r.stack) - 1; i >= 0; i-- {
		if _, ok := r.stack[i].(mark); ok {
			items := append([]any(nil), r.stack[i+1:]...)
			r.stack = r.stack[:i]
			return items, nil
		}
	}
	return nil, fmt.Errorf("no mark")
}

// popN pops n values and returns them in the order in which they were pushed.
func (r *reader) popN(n int) ([]any, error) {
	items := make([]any, n)
	for i := n - 1; i >= 0; i-- {
		v, err := r.pop()
		if err != nil {
			return nil, err
		}
		items[i] = v
	}
	return items, nil
}

func (r *reader) step(op byte) error {
	if done, err := r.literal(op); done || err != nil {
		return err
	}
	if done, err := r.container(op); done || err != nil {
		return err
	}
	if done, err := r.memory(op); done || err != nil {
		return err
	}
	return r.object(op)
}

// literal executes the opcodes of plain values.
func (r *reader) literal(op byte) (done bool, err error) {
	var b []byte
	switch op {
	case 'N':
		r.push(nil)
	case 0x88, 0x89:
		r.push(op == 0x88)
	case 'J':
		if b, err = r.take(4); err == nil {
			r.push(int64(int32(binary.LittleEndian.Uint32(b))))
		}
	case 'K':
		if b, err = r.take(1); err == nil {
			r.push(int64(b[0]))
		}
	case 'M':
		if b, err = r.take(2); err == nil {
			r.push(int64(binary.LittleEndian.Uint16(b)))
		}
	case 0x8a:
		if b, err = r.counted(1); err == nil {
			r.push(long(b))
		}
	case 'G':
		if b, err = r.take(8); err == nil {
			r.push(math.Float64frombits(binary.BigEndian.Uint64(b)))
		}
	case 'X', 0x8c, 0x8d, 'T', 'U':
		if b, err = r.counted(map[byte]int{'X': 4, 0x8c: 1, 0x8d: 8, 'T': 4, 'U': 1}[op]); err == nil {
			r.push(string(b))
		}
	case 'B', 'C', 0x8e:
		if b, err = r.counted(map[byte]int{'B': 4, 'C': 1, 0x8e: 8}[op]); err == nil {
			r.push(b)
		}
	case 'I', 'F':
		err = r.number(op)
	default:
		return false, nil
	}
	return true, err
}

// number reads the decimal formats of the oldest protocol.
func (r *reader) number(op byte) error {
	text, err := r.line()
	if err != nil {
		return err
	}
	if op == 'F' {
		f, err := strconv.ParseFloat(text, 64)
		r.push(f)
		return err
	}
	switch text {
	case "00", "01":
		r.push(text == "01")
		return nil
	}
	i, err := strconv.ParseInt(text, 10, 64)
	r.push(i)
	return err
}

// long decodes a little-endian two's complement integer of any length.
func long(b []byte) any {
	if len(b) <= 8 {
		var wide [8]byte
		if len(b) > 0 && b[len(b)-1]&0x80 != 0 {
			wide = [8]byte{255, 255, 255, 255, 255, 255, 255, 255}
		}
		copy(wide[:], b)
		return int64(binary.LittleEndian.Uint64(wide[:]))
	}
	reversed := make([]byte, len(b))
	for i, v := range b {
		reversed[len(b)-1-i] = v
	}
	v := new(big.Int).SetBytes(reversed)
	if b[len(b)-1]&0x80 != 0 {
		v.Sub(v, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	return v
}

// container executes the opcodes of sequences and mappings.
func (r *reader) container(op byte) (done bool, err error) {
	var items []any
	switch op {
	case '(':
		r.push(mark{})
	case ')':
		r.push(Tuple{})
	case ']':
		r.push(&List{})
	case '}':
		r.push(&Dict{})
	case 0x8f:
		r.push(&List{}) // a set, of which no element is ever looked up
	case 0x85, 0x86, 0x87:
		if items, err = r.popN(int(op-0x85) + 1); err == nil {
			r.push(Tuple(items))
		}
	case 't':
		if items, err = r.toMark(); err == nil {
			r.push(Tuple(items))
		}
	case 'l', 0x91:
		if items, err = r.toMark(); err == nil {
			r.push(&List{items})
		}
	case 'd':
		if items, err = r.toMark(); err == nil {
			d := &Dict{}
			if err = d.set(items); err == nil {
				r.push(d)
			}
		}
	case 'a':
		if items, err = r.popN(1); err == nil {
			err = r.extend(items)
		}
	case 'e', 0x90:
		if items, err = r.toMark(); err == nil {
			err = r.extend(items)
		}
	case 's':
		if items, err = r.popN(2); err == nil {
			err = r.update(items)
		}
	case 'u':
		if items, err = r.toMark(); err == nil {
			err = r.update(items)
		}
	default:
		return false, nil
	}
	return true, err
}

func (r *reader) top() any {
	if len(r.stack) == 0 {
		return nil
	}
	return r.stack[len(r.stack)-1]
}

func (r *reader) extend(items []any) error {
	l, ok := r.top().(*List)
	if !ok {
		return fmt.Errorf("items for %T, expected a list", r.top())
	}
	l.Items = append(l.Items, items...)
	return nil
}

func (r *reader) update(items []any) error {
	switch d := r.top().(type) {
	case *Dict:
		return d.set(items)
	case *Object: // an instance of a dict subclass
		state, ok := d.State.(*Dict)
		if !ok {
			state = &Dict{}
			d.State = state
		}
		return state.set(items)
	}
	return fmt.Errorf("entries for %T, expected a dict", r.top())
}

func (d *Dict) set(items []any) error {
	if len(items)%2 != 0 {
		return fmt.Errorf("a key without a value")
	}
	for i := 0; i < len(items); i += 2 {
		d.Keys, d.Values = append(d.Keys, items[i]), append(d.Values, items[i+1])
	}
	return nil
}

// memory executes the opcodes of the memo and the stack.
func (r *reader) memory(op byte) (done bool, err error) {
	var b []byte
	put := func(i uint32) {
		if _, bad := r.top().(mark); bad || len(r.stack) == 0 {
			err = fmt.Errorf("nothing to remember")
			return
		}
		r.memo[i] = r.top()
	}
	get := func(i uint32) {
		v, ok := r.memo[i]
		if !ok {
			err = fmt.Errorf("value %d was not remembered", i)
			return
		}
		r.push(v)
	}
	switch op {
	case 'q', 'h':
		if b, err = r.take(1); err == nil {
			map[byte]func(uint32){'q': put, 'h': get}[op](uint32(b[0]))
		}
	case 'r', 'j':
		if b, err = r.take(4); err == nil {
			map[byte]func(uint32){'r': put, 'j': get}[op](binary.LittleEndian.Uint32(b))
		}
	case 0x94:
		put(uint32(len(r.memo)))
	case '0':
		_, err = r.pop()
	case '1':
		_, err = r.toMark()
	case '2':
		if b := r.top(); b != nil {
			r.push(b)
		}
	case 0x80:
		if b, err = r.take(1); err == nil && b[0] > 5 {
			err = fmt.Errorf("protocol %d is not known", b[0])
		}
	case 0x95:
		_, err = r.take(8)
	default:
		return false, nil
	}
	return true, err
}

// object executes the opcodes that reference, call and build objects.
func (r *reader) object(op byte) error {
	switch op {
	case 'c':
		module, err := r.line()
		if err != nil {
			return err
		}
		name, err := r.line()
		if err != nil {
			return err
		}
		return r.global(module, name)
	case 0x93:
		items, err := r.popN(2)
		if err != nil {
			return err
		}
		module, ok1 := items[0].(string)
		name, ok2 := items[1].(string)
		if !ok1 || !ok2 {
			return fmt.Errorf("a class is named by %T and %T", items[0], items[1])
		}
		return r.global(module, name)
	case 'Q':
		id, err := r.pop()
		if err != nil {
			return err
		}
		v, err := r.m.Persistent(id)
		r.push(v)
		return err
	case 'R', 0x81:
		items, err := r.popN(2)
		if err != nil {
			return err
		}
		return r.call(op, items[0], items[1])
	case 'b':
		state, err := r.pop()
		if err != nil {
			return err
		}
		if o, ok := r.top().(*Object); ok {
			o.State = state
		}
		return nil // the state of a dict or tensor consists of attributes, which are ignored
	}
	return fmt.Errorf("opcode %#02x is not needed for tensors and is refused", op)
}

func (r *reader) global(module, name string) error {
	g := Global{module, name}
	if !r.m.Known(g) {
		return fmt.Errorf("it asks for %.120s, which is refused: nothing of a file is run", g)
	}
	r.push(g)
	return nil
}

func (r *reader) call(op byte, callee, arguments any) error {
	g, ok := callee.(Global)
	args, isTuple := arguments.(Tuple)
	if !ok || !isTuple {
		return fmt.Errorf("it calls %T with %T, which is refused", callee, arguments)
	}
	if op == 0x81 {
		v, ok := r.m.New(g, args)
		if !ok {
			return fmt.Errorf("it makes a %.120s, which is refused: nothing of a file is run", g)
		}
		r.push(v)
		return nil
	}
	v, ok, err := r.m.Call(g, args)
	if err == nil && !ok {
		err = fmt.Errorf("it calls %.120s, which is refused: nothing of a file is run", g)
	}
	r.push(v)
	return err
}
