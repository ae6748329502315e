// Package lambdamain is what the six Lambdas share: their clients, their
// logger, their metrics, and the names under which their errors arrive.
package lambdamain

import (
	"context"
	"strings"

	"github.com/aws/aws-lambda-go/lambda/messages"

	"ec2patch/internal/patch"
)

// maxMessage bounds an error's text: it becomes part of a state's payload.
const maxMessage = 2000

// Named makes a handler's errors arrive at the state machine under the name of
// their kind. The runtime would report the type of the outermost error, which is
// the same for all of them.
func Named[In, Out any](h func(context.Context, In) (Out, error)) func(context.Context, In) (Out, error) {
	return func(ctx context.Context, in In) (Out, error) {
		out, err := h(ctx, in)
		if err != nil {
			return out, NamedError(err)
		}
		return out, nil
	}
}

// NamedError is the error as the runtime sends it. It is a value: the runtime
// does not recognise a pointer.
func NamedError(err error) messages.InvokeResponse_Error {
	text := err.Error()
	if len(text) > maxMessage {
		text = strings.ToValidUTF8(text[:maxMessage], "") + " ..."
	}
	return messages.InvokeResponse_Error{Type: string(patch.KindOf(err)), Message: text}
}
