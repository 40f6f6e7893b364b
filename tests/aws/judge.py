"""Drives the AWS simulator through boto3 and compares what boto3 made of every reply with sequence.json.

    tollkeeper aws --clock manual &
    python3 tests/aws/judge.py http://127.0.0.1:4566

Exits 0 when all is as expected, 1 with one line for each difference, 2 when it cannot run.
"""

import base64
import json
import os
import pathlib
import sys
import tempfile
import time
import urllib.request

try:
    import boto3
    import botocore.exceptions
    from botocore import UNSIGNED
    from botocore.config import Config
except ImportError:
    print("boto3 is missing: install it for this Python (python3 -m pip install boto3), or name another in TOLLKEEPER_TEST_PYTHON")
    sys.exit(2)

REGION = "us-east-1"
USAGE = {"ProductCode": "vecdb", "UsageDimension": "gb_hours", "Timestamp": 1795269600, "UsageQuantity": 812}


def token(pod, audience="sts.amazonaws.com", lifetime=3600):
    """A projected service account token of this pod; nobody verifies its signature."""
    region = "eu-north-1" if pod == "stockholm" else None
    issuer = f"https://oidc.eks.{region}.amazonaws.com/id/0123" if region else "https://kubernetes.default.svc"
    bound = {"namespace": "vecdb", "serviceaccount": {"name": "vecdb", "uid": "sa-uid"}}
    if pod != "none":
        bound["pod"] = {"name": pod, "uid": f"uid-of-{pod}"}
    claims = {
        "iss": issuer,
        "sub": "system:serviceaccount:vecdb:vecdb",
        "aud": [audience],
        "iat": int(time.time()) - 10,
        "exp": int(time.time()) + lifetime,
        "kubernetes.io": bound,
    }

    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'RS256', 'kid': 'k'})}.{part(claims)}.c2lnbmF0dXJl"


class Judge:
    def __init__(self, endpoint, folder):
        self.endpoint = endpoint
        self.folder = folder
        self.sessions = {}
        self.clients = {}
        self.records = {}

    def control(self, name, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.endpoint}/_tollkeeper/{name}", data=data)
        with urllib.request.urlopen(request, timeout=10) as reply:
            return json.load(reply)

    def config(self, patience=10, **more):
        # One attempt: a retry of boto3's own would hide what the first one met.
        return Config(retries={"total_max_attempts": 1}, read_timeout=patience, parameter_validation=False, **more)

    def session(self, pod):
        """The chain that runs in a pod with IRSA: environment variables, a token file, STS at the same endpoint."""
        if pod not in self.sessions:
            file = pathlib.Path(self.folder) / f"{pod}.token"
            file.write_text(token(pod))
            os.environ["AWS_ROLE_ARN"] = f"arn:aws:iam::123456789012:role/{pod}"
            os.environ["AWS_WEB_IDENTITY_TOKEN_FILE"] = str(file)
            os.environ["AWS_ENDPOINT_URL"] = self.endpoint
            session = boto3.Session(region_name=REGION)
            session.get_credentials().get_frozen_credentials()
            self.sessions[pod] = session
        return self.sessions[pod]

    def metering(self, step):
        # Made once: building a client takes boto3 longer than the quota's second allows.
        key = tuple(step.get(name) for name in ("pod", "region", "patience", "credentials"))
        if key not in self.clients:
            self.clients[key] = self.new_metering(step)
        return self.clients[key]

    def new_metering(self, step):
        options = {"endpoint_url": self.endpoint, "region_name": step.get("region", REGION)}
        patience = step.get("patience", 10)
        kind = step.get("credentials")
        if kind == "static":
            return boto3.client(
                "meteringmarketplace",
                aws_access_key_id="AKIAEXAMPLE",
                aws_secret_access_key="secret",
                config=self.config(patience),
                **options,
            )
        if kind == "none":
            return boto3.client("meteringmarketplace", config=self.config(patience, signature_version=UNSIGNED), **options)
        return self.session(step["pod"]).client("meteringmarketplace", config=self.config(patience), **options)

    def meter(self, step):
        request = {name: value for name, value in {**USAGE, **step["request"]}.items() if value is not None}
        client = self.metering(step)

        def call():
            record = client.meter_usage(**request).get("MeteringRecordId")
            # Of a body that it cannot read boto3 makes an empty result.
            return {"record": record} if record else {"unreadable": True}

        return self.outcome(client, "MeterUsage", call)

    def lookup(self, step):
        client = self.session(step["pod"]).client("cloudtrail", endpoint_url=self.endpoint, config=self.config())
        wanted = {"LookupAttributes": [{"AttributeKey": "EventName", "AttributeValue": "MeterUsage"}], **step["lookup"]}

        def call():
            page = client.lookup_events(**wanted)
            assert all(listed["EventSource"] == "metering-marketplace.amazonaws.com" for listed in page["Events"])
            events = [json.loads(listed["CloudTrailEvent"]) for listed in page["Events"]]
            asked = [event["requestParameters"] for event in events if event["responseElements"]]
            return {
                "taken": [f"{one['usageDimension']} {one['usageQuantity']}" for one in asked],
                "refused": [event["errorCode"] for event in events if "errorCode" in event],
                "more": "NextToken" in page,
            }

        return self.outcome(client, "LookupEvents", call)

    def assume(self, step):
        wanted = step["assume"]
        tokens = {
            "good": token("a"),
            "garbage": "not-a-token",
            "audience": token("a", audience="somebody.else"),
            "expired": token("a", lifetime=-60),
        }
        client = boto3.client(
            "sts", endpoint_url=self.endpoint, region_name=REGION, config=self.config(signature_version=UNSIGNED)
        )
        request = {
            "RoleArn": wanted.get("roleArn", "arn:aws:iam::123456789012:role/path/a"),
            "RoleSessionName": "judge",
            "WebIdentityToken": tokens[wanted["token"]],
        }
        if "duration" in wanted:
            request["DurationSeconds"] = wanted["duration"]

        def call():
            reply = client.assume_role_with_web_identity(**request)
            credentials = reply["Credentials"]
            assert credentials["AccessKeyId"] and credentials["SecretAccessKey"] and credentials["SessionToken"]
            assert reply["AssumedRoleUser"]["Arn"] == "arn:aws:sts::123456789012:assumed-role/a/judge"
            assert reply["SubjectFromWebIdentityToken"] == "system:serviceaccount:vecdb:vecdb"
            assert reply["Audience"] == "sts.amazonaws.com"
            lasts = credentials["Expiration"].timestamp() - time.time()
            # Whole seconds, and a little time has passed.
            return {"lasts": int(round(lasts / 10) * 10)}

        return self.outcome(client, "AssumeRoleWithWebIdentity", call)

    def outcome(self, client, operation, call):
        try:
            return call()
        except botocore.exceptions.ClientError as error:
            code = error.response["Error"]["Code"]
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            shapes = client.meta.service_model.operation_model(operation).error_shapes
            # STS models InvalidIdentityTokenException and sends InvalidIdentityToken; the shape knows both names.
            modelled = any(code in (shape.name, shape.metadata.get("error", {}).get("code")) for shape in shapes)
            if modelled:
                assert type(error) is not botocore.exceptions.ClientError, code
            # boto3 names an error without a code after its status.
            return {"error": None if code == str(status) else code, "modelled": modelled, "status": status}
        except (botocore.exceptions.HTTPClientError, botocore.exceptions.ConnectionError):
            return {"broken": True}

    def same(self, seen, expected):
        """A record's name in the sequence stands for one id, and different names for different ids."""
        if "record" not in expected or "record" not in seen:
            return seen == expected
        known = self.records.setdefault(expected["record"], seen["record"])
        return known == seen["record"] and len(set(self.records.values())) == len(self.records)

    def run(self, steps):
        wrong = 0
        for step in steps:
            for name, body in step.get("control", {}).items():
                self.control(name, body)
            if "books" in step:
                books = self.control("books")
                seen = {name: len(books[name]) for name in step["books"]}
                expected = step["books"]
            elif "expect" in step:
                ask = self.meter if "request" in step else self.lookup if "lookup" in step else self.assume
                seen = ask(step)
                expected = step["expect"].get("boto3", step["expect"])
            else:
                continue
            if not self.same(seen, expected):
                wrong += 1
                print(f"{step['say']}: expected {expected}, boto3 saw {seen}")
        return wrong


def main():
    if len(sys.argv) != 2:
        print("usage: judge.py ENDPOINT_URL")
        return 2
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    steps = json.loads((pathlib.Path(__file__).parent / "sequence.json").read_text())
    with tempfile.TemporaryDirectory() as folder:
        judge = Judge(sys.argv[1].rstrip("/"), folder)
        if not judge.control("clock")["manual"]:
            print("the simulator's clock is not manual: start it with --clock manual")
            return 2
        wrong = judge.run(steps)
    print(f"boto3 {boto3.__version__}: {len(steps)} steps, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
