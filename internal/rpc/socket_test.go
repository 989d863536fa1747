package rpc_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"

	"muster/internal/rpc"
	operatorv1 "muster/proto/muster/operator/v1"
)

func TestTheOperatorsSocketIsForItsOwnerAlone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state", "operator.sock")
	listener, err := rpc.ListenOperator(path)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	for name, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, want %v (%v)", name, info.Mode(), want, err)
		}
	}
}

func TestASocketThatAnswersIsNotTakenOverAndADeadOneIs(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	first, err := rpc.ListenOperator(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rpc.ListenOperator(path); err == nil || !strings.Contains(err.Error(), "another coordinator answers on") {
		t.Errorf("%v", err)
	}
	// A coordinator that was killed does not remove its socket.
	first.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := rpc.ListenOperator(path)
	if err != nil {
		t.Fatal(err)
	}
	second.Close()
}

func TestWhatIsNoSocketIsNotRemoved(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := rpc.ListenOperator(path); err == nil || !strings.Contains(err.Error(), "is not a socket") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

func TestAPathThatIsTooLongForASocketIsExplained(t *testing.T) {
	t.Parallel()
	if _, err := rpc.ListenOperator("/tmp/" + strings.Repeat("x", 100)); err == nil || !strings.Contains(err.Error(), "choose a shorter --state") {
		t.Errorf("%v", err)
	}
}

// The socket's mode keeps other users out; should somebody widen it, the kernel's word on who calls still does.
func TestAnotherUserIsNoOperator(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to become somebody else")
	}
	t.Parallel()
	s := newSite(t)
	for path := s.socket; path != os.TempDir() && path != "/"; path = filepath.Dir(path) {
		if err := os.Chmod(path, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	before := s.state()
	conn := connectAs(t, 65534, s.socket)
	client := operatorv1.NewOperatorServiceClient(dialThrough(t, conn))
	_, err := client.ListHosts(t.Context(), &operatorv1.ListHostsRequest{})
	wantCode(t, err, codes.PermissionDenied, "this call is for an operator, not for uid 65534")
	_, err = client.CreateToken(t.Context(), &operatorv1.CreateTokenRequest{Role: "master"})
	wantCode(t, err, codes.PermissionDenied, "this call is for an operator, not for uid 65534")
	watch, err := client.WatchHosts(t.Context(), &operatorv1.WatchHostsRequest{})
	if err == nil {
		_, err = watch.Recv()
	}
	wantCode(t, err, codes.PermissionDenied, "this call is for an operator, not for uid 65534")
	s.wantState(before)
}

// connectAs connects as another user: on Linux a thread has a user of its own, and the kernel remembers who connected.
func connectAs(t testing.TB, uid int, path string) net.Conn {
	t.Helper()
	type result struct {
		net.Conn
		error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0)); errno != 0 {
			done <- result{nil, errno}
			return
		}
		conn, err := net.Dial("unix", path)
		done <- result{conn, err}
	}()
	r := <-done
	if r.error != nil {
		t.Fatal(r.error)
	}
	return r.Conn
}

func dialThrough(t testing.TB, conn net.Conn) *grpc.ClientConn {
	t.Helper()
	client, err := grpc.NewClient("passthrough:///operator", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return conn, nil }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}
