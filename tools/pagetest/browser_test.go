package pagetest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience bounds how long a condition is waited for; a machine that is busy takes long for a map.
const patience = 60 * time.Second

// tab is one page in a browser, and what went wrong in it.
type tab struct {
	t       *testing.T
	ctx     context.Context
	mu      sync.Mutex
	faults  []string // errors of scripts and of the policy
	foreign []string // addresses of other servers that were asked for
}

// browser returns the path of Chromium, or skips the test.
func browser(t *testing.T) string {
	t.Helper()
	for _, name := range []string{os.Getenv("CHROMIUM"), "chromium", "chromium-browser", "google-chrome", "chrome"} {
		if path, err := exec.LookPath(name); name != "" && err == nil {
			return path
		}
	}
	t.Skip("there is no Chromium")
	return ""
}

// open opens the page in a new browser.
func open(t *testing.T, url string, width, height int64, dark bool) *tab {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(browser(t)), chromedp.NoSandbox,
		chromedp.WindowSize(int(width), int(height)), chromedp.Flag("lang", "en"))
	allocator, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(allocator, chromedp.WithErrorf(func(format string, args ...any) {
		if !strings.HasPrefix(format, "unhandled") { // events that are newer than this driver
			t.Logf(format, args...)
		}
	}))
	t.Cleanup(cancel)
	if err := chromedp.Run(ctx); err != nil { // starts the browser, which ends with this context
		t.Fatal(err)
	}
	x := &tab{t: t, ctx: ctx}
	chromedp.ListenTarget(ctx, func(event any) {
		x.mu.Lock()
		defer x.mu.Unlock()
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			x.faults = append(x.faults, e.ExceptionDetails.Error())
		case *runtime.EventConsoleAPICalled:
			if e.Type == runtime.APITypeError {
				x.faults = append(x.faults, fmt.Sprintf("console: %s", e.Args[0].Value))
			}
		case *network.EventRequestWillBeSent:
			if u := e.Request.URL; !strings.HasPrefix(u, url) && !strings.HasPrefix(u, "data:") && !strings.HasPrefix(u, "blob:") {
				x.foreign = append(x.foreign, u)
			}
		}
	})
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	x.do(network.Enable(), runtime.Enable(), emulation.SetDeviceMetricsOverride(width, height, 1, width < 600),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
		chromedp.Navigate(url), chromedp.WaitReady("#list"))
	x.do(chromedp.Evaluate(`window.refused = []; document.addEventListener("securitypolicyviolation", (e) => window.refused.push(e.violatedDirective + " " + e.blockedURI))`, nil))
	x.until("the tasks are listed", `document.getElementById("open-tasks").textContent.startsWith("Tasks: ")`)
	return x
}

// do does what a person does.
func (x *tab) do(actions ...chromedp.Action) {
	x.t.Helper()
	ctx, cancel := context.WithTimeout(x.ctx, patience)
	defer cancel()
	if err := chromedp.Run(ctx, actions...); err != nil {
		x.shot("failed")
		x.t.Fatal(err)
	}
}

// until waits until an expression is true.
func (x *tab) until(what, expression string) {
	x.t.Helper()
	ctx, cancel := context.WithTimeout(x.ctx, patience)
	defer cancel()
	if err := chromedp.Run(ctx, chromedp.Poll(expression, nil, chromedp.WithPollingInterval(50*time.Millisecond), chromedp.WithPollingTimeout(patience))); err != nil {
		x.shot("failed")
		x.t.Fatalf("%s: %v; the page says %q", what, err, x.text("#status")+" "+x.text("#map-status"))
	}
}

// value returns what an expression is.
func (x *tab) value(expression string, into any) {
	x.t.Helper()
	x.do(chromedp.Evaluate(expression, into))
}

// text returns what a person reads at a place.
func (x *tab) text(selector string) (s string) {
	x.t.Helper()
	x.value(`(document.querySelector(`+quote(selector)+`)?.innerText || "")`, &s)
	return s
}

func (x *tab) click(selector string) {
	x.t.Helper()
	x.do(chromedp.Click(selector, chromedp.ByQuery))
}

// press presses a key, wherever the focus is.
func (x *tab) press(keys string) {
	x.t.Helper()
	x.do(chromedp.KeyEvent(keys))
}

func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// give drops files on the page, as a person drags them from a folder.
func (x *tab) give(files ...string) {
	x.t.Helper()
	x.do(chromedp.ActionFunc(func(ctx context.Context) error {
		data := &input.DragData{Items: []*input.DragDataItem{}, Files: files, DragOperationsMask: 1}
		for _, kind := range []input.DispatchDragEventType{input.DragEnter, input.DragOver, input.Drop} {
			if err := input.DispatchDragEvent(kind, 100, 200, data).Do(ctx); err != nil {
				return err
			}
		}
		return nil
	}))
}

// answered waits until the image that is shown has so many answers.
func (x *tab) answered(n int) {
	x.t.Helper()
	x.until("answers come", fmt.Sprintf(`document.querySelectorAll("#answers article").length === %d`, n))
}

// shot writes a picture of the page where PAGETEST_SHOTS says.
func (x *tab) shot(name string) {
	x.t.Helper()
	dir := os.Getenv("PAGETEST_SHOTS")
	if dir == "" {
		return
	}
	var picture []byte
	ctx, cancel := context.WithTimeout(x.ctx, patience)
	defer cancel()
	err := chromedp.Run(ctx, chromedp.ActionFunc(func(ctx context.Context) (err error) {
		picture, err = page.CaptureScreenshot().Do(ctx)
		return err
	}))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o644)
	}
	if err != nil {
		x.t.Logf("no picture %s: %v", name, err)
	}
}

// sound checks what must hold whatever was done: no script failed, nothing was refused by the policy, no other server was asked,
// and nothing is wider than the window.
func (x *tab) sound() {
	x.t.Helper()
	var refused []string
	x.value(`window.refused`, &refused)
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.faults)+len(refused)+len(x.foreign) > 0 {
		x.t.Errorf("errors %q, refused by the policy %q, other servers %q", x.faults, refused, x.foreign)
	}
}

// narrow checks that nothing reaches beyond the window.
func (x *tab) narrow() {
	x.t.Helper()
	var wide, inner int
	x.value(`document.documentElement.scrollWidth`, &wide)
	x.value(`window.innerWidth`, &inner)
	if wide > inner {
		x.t.Errorf("the page is %d wide, the window %d", wide, inner)
	}
}

// axe checks the page with axe-core, where there is one.
func (x *tab) axe(state string) {
	x.t.Helper()
	path := os.Getenv("PAGETEST_AXE")
	if path == "" {
		return
	}
	script, err := os.ReadFile(path)
	if err != nil {
		x.t.Fatal(err)
	}
	var found []struct {
		ID, Impact, Help string
		Nodes            []struct{ HTML string }
	}
	// The debugger may run what the page may not.
	x.do(chromedp.Evaluate(string(script)+";0", nil))
	x.do(chromedp.Evaluate(`axe.run().then((r) => r.violations)`, &found, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	for _, v := range found {
		where := ""
		if len(v.Nodes) > 0 {
			where = v.Nodes[0].HTML
		}
		if v.Impact == "serious" || v.Impact == "critical" {
			x.t.Errorf("%s: %s (%s): %s, such as %.300s", state, v.ID, v.Impact, v.Help, where)
		} else {
			x.t.Logf("%s: %s (%s): %s", state, v.ID, v.Impact, v.Help)
		}
	}
}
