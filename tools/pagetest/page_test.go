package pagetest

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
)

// TestPage: what a person does with the page, from the first image to the print.
func TestPage(t *testing.T) {
	browser(t)
	melo := program(t)
	url := start(t, melo, "--base", "embedded", "--adapters", trained(t, melo))
	images := t.TempDir()
	hostile := picture(t, filepath.Join(images, `<img src=x onerror=alert(1)>.png`), 320, 240, spot(7, true, 320, 240))
	left := picture(t, filepath.Join(images, "left.png"), 96, 96, spot(3, false, 96, 96))
	t.Run("look", func(t *testing.T) { look(t, url, hostile, left) })
	t.Run("files", func(t *testing.T) { files(t, url) })
	t.Run("phone", func(t *testing.T) { phone(t, url, left) })
	t.Run("dark and large", func(t *testing.T) { large(t, url, left) })
	t.Run("print", func(t *testing.T) { printed(t, url, left) })
	t.Run("token", func(t *testing.T) { token(t, melo, left) })
}

// look drops images, reads the answers, zooms, and asks where they come from.
func look(t *testing.T, url, hostile, left string) {
	x := open(t, url, 1400, 900, false)
	x.axe("empty")
	x.give(hostile, left)
	x.answered(2)
	x.until("both images have a mark", `document.querySelectorAll("#list .mark-text").length === 2 && [...document.querySelectorAll("#list .mark-text")].every((e) => e.textContent)`)
	if s := x.text("#list"); !strings.Contains(s, "<img src=x onerror") {
		t.Errorf("the list reads %q", s)
	}
	if s := x.text("#answers"); !strings.Contains(s, "right") || !strings.Contains(s, "Where?") {
		t.Errorf("the answers read %q", s)
	}
	x.axe("answered")
	x.shot("answered")

	// The threshold is marked where it is, the bar as long as the probability says.
	var bars []struct{ Words, Fill, Mark string }
	x.value(`[...document.querySelectorAll("#answers .track")].map((e) => ({ Words: e.getAttribute("aria-label"), Fill: e.querySelector(".fill").style.width, Mark: e.querySelector(".mark")?.style.left || "" }))`, &bars)
	if len(bars) < 4 {
		t.Fatalf("%d bars", len(bars))
	}
	for _, b := range bars {
		var p, threshold, fill, mark float64
		if _, err := fmt.Sscanf(strings.TrimLeft(b.Words, "<> "), "%f %%, counts as present from %f", &p, &threshold); err != nil {
			t.Fatalf("%q: %v", b.Words, err)
		}
		fmt.Sscanf(b.Fill, "%f", &fill)
		fmt.Sscanf(b.Mark, "%f", &mark)
		if fill-p > 0.11 || p-fill > 0.11 || mark-threshold > 0.06 || threshold-mark > 0.06 {
			t.Errorf("%+v", b)
		}
	}

	// Zoom by keys, to the pixels and back; the wheel keeps what is under the pointer.
	x.do(chromedp.Focus("#stages", chromedp.ByQuery))
	fitted := x.text("#geometry")
	x.press("1")
	x.until("pixels are shown", `document.getElementById("geometry").textContent.endsWith("shown at 100 %")`)
	x.press("+")
	x.until("it is larger", `document.getElementById("geometry").textContent.endsWith("shown at 125 %")`)
	x.do(chromedp.ActionFunc(input.DispatchMouseEvent(input.MouseWheel, 700, 400).WithDeltaX(0).WithDeltaY(-300).Do))
	x.until("the wheel zooms", `!document.getElementById("geometry").textContent.endsWith("shown at 125 %")`)
	x.press("0")
	x.until("it fits again", `document.getElementById("geometry").textContent === `+quote(fitted))
	if !strings.HasPrefix(fitted, "320 × 240, 8 bits") {
		t.Errorf("the geometry reads %q", fitted)
	}

	// Black and white are swapped on the screen.
	before := x.pixel()
	x.press("i")
	if after := x.pixel(); after == before || abs(after+before-255) > 2 {
		t.Errorf("a pixel is %d, inverted %d", before, after)
	}
	x.press("w")
	if again := x.pixel(); again != before {
		t.Errorf("a pixel is %d, after all %d", before, again)
	}

	// Where does it come from? The map lies over the image, and its opacity can be changed.
	x.click(`#answers article[data-task=side] .where`)
	x.until("a map is shown", `document.querySelector("#first figcaption").textContent.startsWith("side: what speaks for")`)
	mapped := x.sum("#first")
	x.shot("map")
	x.axe("map")
	x.do(chromedp.SetValue("#opacity", "0", chromedp.ByQuery), chromedp.Evaluate(`document.getElementById("opacity").dispatchEvent(new Event("input"))`, nil))
	if bare := x.sum("#first"); bare == mapped {
		t.Error("the opacity changes nothing")
	}
	x.do(chromedp.Evaluate(`document.getElementById("opacity").value = 100; document.getElementById("opacity").dispatchEvent(new Event("input"))`, nil))
	if again := x.sum("#first"); again != mapped {
		t.Error("the map is not what it was")
	}

	// Another method, and two labels side by side.
	x.do(chromedp.SetValue("#method", "gradcam", chromedp.ByQuery), chromedp.Evaluate(`document.getElementById("method").dispatchEvent(new Event("change"))`, nil))
	x.until("the method is another", `document.querySelector("#first figcaption").textContent.endsWith("gradcam")`)
	x.click("#beside")
	x.until("two maps are shown", `!document.getElementById("second").hidden && document.querySelector("#second figcaption").textContent.startsWith("side: what speaks for")`)
	var captions []string
	x.value(`[...document.querySelectorAll("figcaption")].map((e) => e.textContent.match(/for (\w+)/)[1])`, &captions)
	if len(captions) != 2 || captions[0] == captions[1] {
		t.Errorf("side by side are %q", captions)
	}
	x.shot("beside")
	x.press("m")
	x.do(chromedp.Focus("#stages", chromedp.ByQuery))
	x.press("m")
	x.until("the map is gone", `document.getElementById("second").hidden && document.querySelector("#first figcaption").textContent === ""`)

	// The next image by key; the card of an adapter; a task less.
	x.press("j")
	x.until("the next image is shown", `document.querySelector("[aria-current=true] .file").textContent === "left.png" && document.getElementById("geometry").textContent.startsWith("96")`)
	x.answered(2)
	if s := x.text("article[data-task=side] .decision"); s != "left" {
		t.Errorf("the side is %q", s)
	}
	x.click("article[data-task=side] .about summary")
	card := x.text("article[data-task=side] .about")
	for _, part := range []string{"Intended use", "Trained on", "sha256:", "Limits", "Research use only"} {
		if !strings.Contains(card, part) {
			t.Errorf("the card lacks %q: %s", part, card)
		}
	}
	x.click("#open-tasks")
	x.click(`#adapters input[value=lines]`)
	x.press("\x1b")
	x.answered(1)
	x.do(chromedp.Focus("#stages", chromedp.ByQuery))
	x.press("?")
	x.until("the keys are listed", `document.getElementById("help").open && document.getElementById("keys").innerText.includes("swap black and white")`)
	x.axe("help")
	x.sound()
}

// pixel is the brightness of a pixel in the middle of the view.
func (x *tab) pixel() (v int) {
	x.t.Helper()
	x.value(`(() => { const c = document.querySelector("#first canvas"); return c.getContext("2d").getImageData(c.width / 2, c.height / 2, 1, 1).data[0]; })()`, &v)
	return v
}

// sum stands for all pixels of a view.
func (x *tab) sum(figure string) (v int) {
	x.t.Helper()
	x.value(`(() => { const c = document.querySelector(`+quote(figure+" canvas")+`); let s = 0; c.getContext("2d").getImageData(0, 0, c.width, c.height).data.forEach((b, i) => { s = (s * 31 + b) % 2147483647; }); return s; })()`, &v)
	return v
}

func abs(v int) int { return max(v, -v) }

// files: a DICOM object of several frames, a TIFF, and what is no image.
func files(t *testing.T, url string) {
	x := open(t, url, 1400, 900, false)
	broken := filepath.Join(t.TempDir(), "broken.png")
	if err := os.WriteFile(broken, []byte("\x89PNG\r\n\x1a\nnothing more of a picture than that"), 0o644); err != nil {
		t.Fatal(err)
	}
	x.give(broken)
	x.until("what is wrong is said", `document.getElementById("status").classList.contains("error") && document.getElementById("status").textContent.includes("PNG")`)
	notes := filepath.Join(t.TempDir(), "notes.txt")
	if err := os.WriteFile(notes, []byte("no image"), 0o644); err != nil {
		t.Fatal(err)
	}
	x.give(frames(t), notes)
	x.until("what is left out is named", `document.getElementById("left-out").textContent === "Left out: notes.txt"`)
	x.until("both files are listed", `document.querySelectorAll("#list .item").length === 2`)
	x.do(chromedp.Evaluate(`document.querySelectorAll("#list .item")[1].click()`, nil))
	x.until("the frames are counted", `document.getElementById("frame-number").value === "1 of 3"`)
	x.answered(2)
	if s := x.text("#answers"); !strings.Contains(s, "page 1 of 3 is taken") {
		t.Errorf("the answers read %q", s)
	}
	first := x.sum("#first")
	x.do(chromedp.Focus("#stages", chromedp.ByQuery))
	x.press("]")
	x.until("the next frame is shown and asked about", `document.getElementById("frame-number").value === "2 of 3" && document.getElementById("answers").textContent.includes("page 2 of 3 is taken")`)
	if second := x.sum("#first"); second == first {
		t.Error("another frame looks the same")
	}
	if s := x.text("#geometry"); !strings.Contains(s, "16 bits, TIFF") {
		t.Errorf("the geometry reads %q", s)
	}
	x.click(`#answers article[data-task=side] .where`)
	x.until("the frame has a map", `document.querySelector("#first figcaption").textContent.startsWith("side: what speaks for")`)
	// The window is moved by its slider.
	before := x.sum("#first")
	x.do(chromedp.Evaluate(`document.getElementById("width").value = 200; document.getElementById("width").dispatchEvent(new Event("input"))`, nil))
	if after := x.sum("#first"); after == before {
		t.Error("the window changes nothing")
	}
	x.shot("frames")
	x.sound()
}

// phone: nothing is wider than a phone, and everything is reached.
func phone(t *testing.T, url, left string) {
	x := open(t, url, 390, 844, false)
	x.narrow()
	x.do(chromedp.SetUploadFiles("#files", []string{left}, chromedp.ByQuery))
	x.answered(2)
	x.narrow()
	x.shot("phone")
	x.click(`#answers article[data-task=side] .where`)
	x.until("a map is shown", `document.querySelector("#first figcaption").textContent !== ""`)
	x.do(chromedp.ScrollIntoView("#stages", chromedp.ByQuery))
	x.narrow()
	x.axe("phone")
	x.shot("phone-map")
	x.sound()
}

// large: dark, at 4K, and by keyboard alone.
func large(t *testing.T, url, left string) {
	x := open(t, url, 3840, 2160, true)
	x.give(left)
	x.answered(2)
	x.axe("dark")
	x.narrow()
	x.shot("large-dark")
	var dark bool
	x.value(`getComputedStyle(document.body).backgroundColor === "rgb(20, 23, 28)"`, &dark)
	if !dark {
		t.Error("the page is not dark")
	}
	// Tab reaches the button of a map, and Enter presses it.
	reached := false
	for range 80 {
		x.press("\t")
		x.value(`document.activeElement.classList.contains("where")`, &reached)
		if reached {
			break
		}
	}
	if !reached {
		t.Fatal("no map is reached by keyboard")
	}
	x.press("\r")
	x.until("a map is shown", `document.querySelector("#first figcaption").textContent !== ""`)
	x.sound()
}

// printed: the print has the image and the answers, and nothing to press.
func printed(t *testing.T, url, left string) {
	x := open(t, url, 1400, 900, true)
	x.give(left)
	x.answered(2)
	x.click(`#answers article[data-task=side] .where`)
	x.until("a map is shown", `document.querySelector("#first figcaption").textContent !== ""`)
	x.do(emulation.SetEmulatedMedia().WithMedia("print"))
	x.until("the print is light", `getComputedStyle(document.body).backgroundColor === "rgb(255, 255, 255)"`)
	var pressed int
	x.value(`[...document.querySelectorAll("button, input, select")].filter((e) => e.offsetParent).length`, &pressed)
	var height int
	x.value(`document.querySelector("#first canvas").clientHeight`, &height)
	if height < 300 {
		t.Errorf("the image is %d pixels high in the print", height)
	}
	if s := x.text("main"); pressed > 0 || !strings.Contains(s, "left.png") || !strings.Contains(x.text("header"), "not a medical device") {
		t.Errorf("%d things to press; the print reads %q", pressed, s)
	}
	x.shot("print")
	x.sound()
}

// token: a server that asks for a token is asked with one.
func token(t *testing.T, melo, left string) {
	out, err := exec.Command(melo, "--json", "token", "new", "--name", "reader", "--role", "viewer").Output()
	if err != nil {
		t.Fatal(err)
	}
	var made struct{ Token, Line string }
	if err := json.Unmarshal(out, &made); err != nil || made.Token == "" {
		t.Fatal(err, string(out))
	}
	tokens := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(tokens, []byte(made.Line+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	x := open(t, start(t, melo, "--base", "embedded", "--adapters", t.TempDir(), "--tokens", tokens), 1400, 900, false)
	x.until("a token is asked for", `document.getElementById("token-dialog").open`)
	x.axe("token")
	x.do(chromedp.SendKeys("#token", made.Token+"\r", chromedp.ByQuery))
	x.until("the token is taken", `document.getElementById("status").textContent === "The server has no adapter that answers."`)
	x.give(left)
	x.until("the image is shown", `document.getElementById("geometry").textContent.startsWith("96")`)
	x.sound()
}
