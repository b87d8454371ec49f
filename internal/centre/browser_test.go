package centre

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"tandem/internal/browsertest"
)

// browser starts Debian's Chromium over a profile of its own. Where there is
// none the test is skipped, which CI=true makes a failure.
func browser(t *testing.T) context.Context {
	t.Helper()
	if testing.Short() {
		t.Skip("a short run starts no browser")
	}
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("chromium is not installed: apt-get install chromium")
		}
		t.Skip("SKIPPED: chromium is not installed (apt-get install chromium)")
	}
	profile, err := os.MkdirTemp("", "tandem-chromium-")
	if err != nil {
		t.Fatal(err)
	}
	opts := []chromedp.ExecAllocatorOption{chromedp.ExecPath(path), chromedp.UserDataDir(profile), chromedp.Headless, chromedp.NoSandbox,
		chromedp.NoFirstRun, chromedp.DisableGPU, chromedp.IgnoreCertErrors}
	for _, f := range []string{"disable-quic", "disable-background-networking", "disable-component-update", "disable-sync"} {
		opts = append(opts, chromedp.Flag(f, true))
	}
	alloc, stop := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, cancel := chromedp.NewContext(alloc)
	ctx, done := context.WithTimeout(ctx, 3*time.Minute)
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil { // waits until the browser is gone
			t.Logf("closing chromium: %v", err)
		}
		done()
		cancel()
		stop()
		if err := os.RemoveAll(profile); err != nil {
			t.Logf("the browser's profile stays behind: %v", err)
		}
	})
	return ctx
}

// complaints collects what the page would show on its console: script errors
// and refusals of the content security policy.
func complaints(ctx context.Context) func() []string {
	var mu sync.Mutex
	var out []string
	chromedp.ListenTarget(ctx, func(ev any) {
		mu.Lock()
		defer mu.Unlock()
		switch e := ev.(type) {
		case *log.EventEntryAdded:
			out = append(out, e.Entry.Text)
		case *runtime.EventExceptionThrown:
			out = append(out, e.ExceptionDetails.Error())
		}
	})
	return func() []string { mu.Lock(); defer mu.Unlock(); return out }
}

func do(t *testing.T, ctx context.Context, actions ...chromedp.Action) {
	t.Helper()
	if err := chromedp.Run(ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

func logIn(url string) chromedp.Tasks {
	return chromedp.Tasks{chromedp.Navigate(url + "/"), chromedp.SendKeys("#secret", secrets[LoginSecret]+"\r"), chromedp.WaitVisible(".tiles")}
}

func media(scheme string) chromedp.Action {
	return emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}})
}

// Every page, light and dark, wide and narrow: no sideways scrolling of the
// page, no complaint on the console. With TANDEM_SCREENSHOTS set to a folder,
// pictures are stored there to be looked at.
func TestPagesInABrowser(t *testing.T) {
	r := demoRig(t, 12)
	s := httptest.NewTLSServer(r.Dashboard())
	defer s.Close()
	ctx := browser(t)
	bad := complaints(ctx)
	dir := os.Getenv("TANDEM_SCREENSHOTS")
	paths := append([]string{"/login"}, allPages...)
	paths = append(paths, "/c/birch-dental", "/c/delta-solar", "/c/nobody")
	do(t, ctx, log.Enable(), logIn(s.URL))
	for _, width := range []int64{1440, 390} {
		for _, scheme := range []string{"light", "dark"} {
			do(t, ctx, chromedp.EmulateViewport(width, 900), media(scheme))
			for _, p := range paths {
				var wide bool
				do(t, ctx, chromedp.Navigate(s.URL+p), chromedp.Evaluate(`document.documentElement.scrollWidth > innerWidth`, &wide))
				var faint []string
				do(t, ctx, chromedp.Evaluate(browsertest.Contrast, &faint))
				if len(faint) > 0 {
					t.Errorf("%s, %s: too little contrast: %v", p, scheme, faint)
				}
				if wide {
					t.Errorf("%s scrolls sideways at %d px", p, width)
				}
				if dir != "" {
					var png []byte
					do(t, ctx, chromedp.FullScreenshot(&png, 100))
					name := fmt.Sprintf("%s-%s-%d.png", strings.Trim(strings.ReplaceAll("overview"+p, "/", "-"), "-"), scheme, width)
					if err := os.WriteFile(filepath.Join(dir, name), png, 0o644); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	}
	for _, c := range bad() {
		if !strings.Contains(c, "404") { // /c/nobody
			t.Errorf("console: %s", c)
		}
	}
}

func TestPageTurnsDownAndRecoversLive(t *testing.T) {
	r := newRig(t)
	r.send(r.beat())
	r.watch()
	s := httptest.NewTLSServer(r.Dashboard())
	defer s.Close()
	ctx := browser(t)
	bad := complaints(ctx)
	refresh := chromedp.Tasks{chromedp.Click("#pause"), chromedp.Click("#pause"), chromedp.WaitVisible("#live.on")}
	var before, downText, upText, said string
	state := func(to *string) chromedp.Action { return chromedp.Text(".fleet tbody td .st", to) }
	do(t, ctx, log.Enable(), logIn(s.URL), chromedp.Evaluate(`window.same = true`, nil), state(&before))

	r.after(2*time.Minute+time.Second, 1)
	do(t, ctx, refresh, chromedp.WaitVisible(".fleet .st.down"), state(&downText), chromedp.Text("#announce", &said, chromedp.NodeReady))
	r.send(r.beat())
	r.after(0, 1)
	var same bool
	do(t, ctx, refresh, chromedp.WaitVisible(".fleet .st.live"), state(&upText), chromedp.Evaluate(`window.same === true`, &same))
	if before != "Live" || downText != "Down" || upText != "Live" || !same {
		t.Errorf("states %q, %q, %q; same document: %v", before, downText, upText, same)
	}
	if !strings.Contains(said, "1 down") {
		t.Errorf("screen readers heard %q", said)
	}
	r.after(time.Minute, 0)
	if c := bad(); len(c) > 0 {
		t.Errorf("console: %v", c)
	}
}

func TestPagesWorkWithoutScriptAndByKeyboard(t *testing.T) {
	r := demoRig(t, 3)
	s := httptest.NewTLSServer(r.Dashboard())
	defer s.Close()
	ctx := browser(t)
	var focus, ring, title string
	do(t, ctx, emulation.SetScriptExecutionDisabled(true), logIn(s.URL),
		chromedp.SetValue("#q", "birch"), chromedp.Submit("#q"), chromedp.WaitVisible(`a[href="/c/birch-dental"]`),
		chromedp.WaitNotPresent(`.fleet a[href="/c/acme"]`), chromedp.Click(`.fleet a[href="/c/birch-dental"]`),
		chromedp.WaitVisible(".handlers"), chromedp.Click(`button[value="8"]`), chromedp.WaitVisible(`button[value="0"]`),
		emulation.SetScriptExecutionDisabled(false))
	do(t, ctx, chromedp.Navigate(s.URL+"/"), chromedp.KeyEvent("\t"),
		chromedp.Evaluate(`document.activeElement.textContent`, &focus),
		chromedp.Evaluate(`getComputedStyle(document.activeElement).outlineStyle`, &ring),
		chromedp.KeyEvent("\r"), chromedp.Evaluate(`document.activeElement.id || location.hash`, &title))
	if focus != "Skip to the content" || ring != "solid" || !strings.Contains(title, "main") {
		t.Errorf("first stop %q, outline %q, then %q", focus, ring, title)
	}
}
