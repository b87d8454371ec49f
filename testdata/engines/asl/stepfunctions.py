"""Runs cases through the interpreter inside moto, which is LocalStack's.

Standard input holds one JSON case a line, standard output gets one JSON result
a line; the Go test of internal/asl writes and reads them. The interpreter is
used as it is, through moto's Step Functions API, but for three things that are
not its own semantics: the clients it calls Lambda and SQS with answer from the
case, pauses between attempts take no time, and neither does a Wait state.
"""
import io
import json
import sys
import time
from types import SimpleNamespace

import boto3
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import state_task_service_sqs
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.wait_function import WaitFunction

REGION = "ap-southeast-2"
ROLE = "arn:aws:iam::123456789012:role/states"


class Answers:
    """Hands out the canned answers of one case; the last of a state repeats."""

    def __init__(self, answers):
        self.answers, self.calls, self.sent = answers, {}, []

    def take(self, state, given):
        n = self.calls.get(state, 0)
        self.calls[state] = n + 1
        self.sent.append({"state": state, "input": given})
        answers = self.answers[state]
        answer = answers[min(n, len(answers) - 1)]
        if "seconds" in answer:
            time.sleep(answer["seconds"])
        return answer


class Lambda:
    """Answers as the Lambda API does; the function's name is the state's."""

    def __init__(self, answers):
        self.answers = answers

    def invoke(self, FunctionName, Payload, **_):
        answer = self.answers.take(FunctionName.rsplit(":", 1)[-1], json.loads(Payload))
        out = {"StatusCode": 200, "ExecutedVersion": "$LATEST"}
        if answer.get("error") == "States.Timeout":
            raise TimeoutError
        if "error" in answer:
            out["FunctionError"] = "Unhandled"
            out["Payload"] = io.BytesIO(answer["cause"].encode())
        else:
            out["Payload"] = io.BytesIO(json.dumps("x" * answer["bytes"] if "bytes" in answer else answer["result"]).encode())
        return out


class Queue:
    """Answers as the SQS API does; the queue's name is the state's."""

    def __init__(self, answers):
        self.answers = answers

    def send_message(self, QueueUrl, MessageBody, **rest):
        given = {"QueueUrl": QueueUrl, "MessageBody": json.loads(MessageBody), **rest}
        answer = self.answers.take(QueueUrl.rsplit("/", 1)[-1], given)
        if "error" in answer:
            raise ClientError({"Error": {"Code": answer["error"], "Message": answer["cause"]}}, "SendMessage")
        return dict(answer["result"])


def install(answers):
    """Puts the case's answers where the interpreter asks for its clients."""
    clients = {"lambda": Lambda(answers), "sqs": Queue(answers)}
    client_for = lambda service, **_: clients[service]
    lambda_eval_utils.boto_client_for = client_for
    state_task_service_sqs.boto_client_for = client_for
    retrier_decl.time = SimpleNamespace(sleep=lambda _: None)
    WaitFunction._wait_interval = lambda *_, **__: None


def history(client, arn):
    events = []
    for page in client.get_paginator("get_execution_history").paginate(executionArn=arn):
        events += page["events"]
    return events


def finish(client, arn):
    while (got := client.describe_execution(executionArn=arn))["status"] == "RUNNING":
        time.sleep(0.005)
    return got


@mock_aws(config={"stepfunctions": {"execute_state_machine": True}})
def run(case):
    answers = Answers(case["answers"])
    install(answers)
    res = {"name": case["name"], "path": [], "sent": answers.sent}
    client = boto3.client("stepfunctions", region_name=REGION, aws_access_key_id="a", aws_secret_access_key="b")
    try:
        machine = client.create_state_machine(name="case", definition=json.dumps(case["definition"]), roleArn=ROLE)
    except ClientError as e:
        return {**res, "refused": str(e)}
    started = client.start_execution(
        stateMachineArn=machine["stateMachineArn"], name=case["name"], input=json.dumps(case["input"])
    )
    got = finish(client, started["executionArn"])
    res["status"] = got["status"]
    for event in history(client, started["executionArn"]):
        if "stateEnteredEventDetails" in event:
            res["path"].append(event["stateEnteredEventDetails"]["name"])
        if "executionSucceededEventDetails" in event:
            res["output"] = json.loads(event["executionSucceededEventDetails"]["output"])
        for key in ("executionFailedEventDetails", "executionTimedOutEventDetails"):
            res["error"] = event.get(key, {}).get("error", res.get("error"))
            res["cause"] = event.get(key, {}).get("cause", res.get("cause"))
    return {k: v for k, v in res.items() if v is not None}


for line in sys.stdin:
    print(json.dumps(run(json.loads(line))), flush=True)
