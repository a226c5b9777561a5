import org.apache.flink.configuration.Configuration;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableResult;
import org.apache.flink.table.api.internal.TableEnvironmentImpl;

/** Submits one SQL job: FlinkJob PORT NAME PARALLELISM STATEMENT..., of which the last one is the INSERT. */
public class FlinkJob {
    public static void main(String[] given) throws Exception {
        Configuration conf = new Configuration();
        conf.setString("execution.target", "remote");
        conf.setString("rest.address", "127.0.0.1");
        conf.setString("rest.port", given[0]);
        conf.setString("pipeline.name", given[1]);
        conf.setString("parallelism.default", given[2]);
        conf.setString("execution.checkpointing.interval", "2s");
        conf.setString("restart-strategy.type", "fixed-delay");
        conf.setString("restart-strategy.fixed-delay.attempts", "6");
        conf.setString("restart-strategy.fixed-delay.delay", "3s");
        EnvironmentSettings settings = EnvironmentSettings.newInstance().withConfiguration(conf).inStreamingMode().build();
        // Janino's default target has no static methods of interfaces, so not TableEnvironment.create.
        TableEnvironmentImpl tables = TableEnvironmentImpl.create(settings);
        TableResult result = null;
        for (int n = 3; n < given.length; n++) {
            result = tables.executeSql(given[n]);
        }
        JobClient client = (JobClient) result.getJobClient().get();
        System.out.println(client.getJobID());
    }
}
