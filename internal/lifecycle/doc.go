// Package lifecycle starts the parts of a process in order and drains them in
// the opposite one.
//
// A process opens what it needs bottom-up and must close it top-down, each part
// within a deadline, and a part that hangs must be left behind and named, not
// waited for. Stack does that; each step carries the reason for its place, which
// is logged with it, so that the order can be read in the code and in the log.
//
//	stack := lifecycle.New(log)
//	defer stack.Close(context.WithoutCancel(ctx))
//	err := stack.Start(ctx, lifecycle.Step{
//		Name:   "database",
//		Reason: "everything else keeps its facts there",
//		Start: func(ctx context.Context) (lifecycle.CloseFunc, error) { … },
//	})
//
// Start reading at Stack.
package lifecycle
