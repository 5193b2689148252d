package webhookconformance

import "slices"

// checks returns all checks of a version, in the order in which they are made.
func checks() []check {
	return slices.Concat(transportChecks(), formChecks(), refusalChecks(), acceptanceChecks(), audienceChecks(), clientChecks())
}

func transportChecks() []check {
	return []check{
		{
			"connection/answers", "The URL of the webhook answers a POST.",
			"Check the address, that the webhook runs, and that its certificate is of the authority in the kubeconfig.", (*suite).checkAnswers,
		},
		{
			"connection/encrypted", "The URL begins with https, since each request has a token in it.",
			"Serve TLS, and name its certificate authority in the kubeconfig.", (*suite).checkEncrypted,
		},
		{
			"connection/stays-open", "The connection stays open, since a handshake for each review costs more than the review.",
			"Answer in HTTP/1.1 or HTTP/2, with a Content-Length and without Connection: close.", (*suite).checkStaysOpen,
		},
		{
			"connection/no-redirect", "The answer is no redirect: a token must not be sent elsewhere.",
			"Answer at the URL that is in the kubeconfig, path and trailing slash included.", (*suite).checkNoRedirect,
		},
		{
			"connection/in-time", "Each answer comes within the limit (10 seconds by default).",
			"Bound what the webhook waits for, and answer with status.error when the time is over.", (*suite).checkInTime,
		},
	}
}

func formChecks() []check {
	return []check{
		{
			"answer/content-type", "The answer says that it is application/json.",
			"Set the header Content-Type: application/json before the body is written. Without it, many servers say text/plain.", (*suite).checkContentType,
		},
		{
			"answer/json", "The body is one JSON object and nothing behind it.",
			"Write one TokenReview, and no log line, second object or page of HTML.", (*suite).checkJSON,
		},
		{
			"answer/kind", "kind is TokenReview.",
			`Write "kind": "TokenReview". A server that answers with a Status has an error, and is not at the right path.`, (*suite).checkKind,
		},
		{
			"answer/api-version", "apiVersion is the one that was asked in.",
			"Copy apiVersion from the request. A kube-apiserver asks in v1beta1 unless --authentication-token-webhook-version is v1.", (*suite).checkVersion,
		},
		{
			"answer/status", "There is a status, whatever the verdict.",
			`Write a status object in each answer, such as "status": {"authenticated": false}.`, (*suite).checkStatus,
		},
		{
			"answer/no-token", "The answer does not repeat the token: answers are logged more often than requests.",
			"Make a new TokenReview for the answer instead of filling in the one that was received.", (*suite).checkNoToken,
		},
		{
			"request/further-members", "Members that the webhook does not know are ignored: a later kube-apiserver may send more.",
			"Read the request without refusing unknown fields.", (*suite).checkFurtherMembers,
		},
	}
}

func refusalChecks() []check {
	return []check{
		{
			"refused/status-code", "A refusal has a status code from 200 to 206.",
			"Answer 200 or 201 with status.authenticated false. To a kube-apiserver other codes are an outage: 401 and 403 are logged as errors, and 429, 500, 504 " +
				"and Retry-After are tried five times.", (*suite).checkRefusalCode,
		},
		{
			"refused/unknown-token", "An unknown token is not authenticated, not even as system:anonymous.",
			"Set authenticated to false where nobody is known by the token. Anonymous callers are the kube-apiserver's own affair.", (*suite).checkUnknown,
		},
		{
			"refused/altered-token", "A token that differs from a good one in one character, or in the case of its letters, is not authenticated.",
			"Verify the whole token, signature included, and cache verdicts under the whole token.", (*suite).checkAltered,
		},
		{
			"refused/white-space", "A token of white space, or one with a space in front, is not authenticated.",
			"Do not trim the token: compare it as it was sent.", (*suite).checkWhiteSpace,
		},
		{
			"refused/empty-token", "A review without a token is not authenticated.",
			"Refuse an empty token before anything is looked up by it.", (*suite).checkEmpty,
		},
		{
			"refused/no-user", "A refusal names no user.",
			"Fill in status.user only where authenticated is true.", (*suite).checkNoUser,
		},
		{
			"refused/audiences", "A refusal with an error names an audience that was asked for.",
			"Copy spec.audiences to status.audiences in refusals. A kube-apiserver compares audiences first, and drops the error of an answer that has none in common.",
			(*suite).checkRefusalAudiences,
		},
	}
}
