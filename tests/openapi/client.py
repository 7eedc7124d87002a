"""A generated client creates, reads, changes and deletes a job. It must not know the API beyond what was generated."""

import sys

from punctual_client import Client
from punctual_client.api.default import change_job, create_job, delete_job, get_job, replace_job
from punctual_client.models import JobDefinition, JobDefinitionType, JobPatch

client = Client(base_url=sys.argv[1], raise_on_unexpected_status=True)
job = JobDefinition(api="http://127.0.0.1:9/hook", type_=JobDefinitionType.ATLEAST_ONCE, schedule="@yearly")
created = create_job.sync(client=client, body=job, idempotency_key="one")
assert create_job.sync(client=client, body=job, idempotency_key="one").job_id == created.job_id
patched = change_job.sync(created.job_id, client=client, body=JobPatch(schedule="@daily", tags=["a"]), if_match='"1"')
assert (patched.job.schedule, patched.job.tags, patched.next_executions[0].hour) == ("@daily", ["a"], 0)
assert change_job.sync_detailed(created.job_id, client=client, body=JobPatch(), if_match='"1"').status_code == 412
replaced = replace_job.sync(created.job_id, client=client, body=job)
assert get_job.sync(created.job_id, client=client).updated_at == replaced.job.updated_at
assert delete_job.sync_detailed(created.job_id, client=client).status_code == 204
assert get_job.sync(created.job_id, client=client).status == 404
print(created.job_id)
