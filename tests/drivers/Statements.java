// Statements through pgjdbc, each in the ways that programs use it, as JSON lines: what was asked, and what came of it.
import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.Date;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Timestamp;
import java.util.concurrent.CompletableFuture;

public class Statements {
  interface Tried { Object with(Connection connection) throws Exception; }

  static String url;
  static String user;
  static String password;

  public static void main(String[] arguments) throws Exception {
    url = arguments[0];
    user = arguments[1];
    password = arguments[2];
    String table = arguments[3];
    tell("count", c -> one(c, "SELECT count(*) FROM " + table));
    tell("fetched", c -> fetched(c, table, 7));
    tell("prepared often, in binary", c -> preparedOften(c, table));
    tell("parameters", c -> parameters(c, table));
    tell("batch of settings", c -> {
      c.setReadOnly(true);
      c.setTransactionIsolation(Connection.TRANSACTION_REPEATABLE_READ);
      c.setAutoCommit(false);
      Object told = one(c, "SELECT 1");
      c.setSavepoint("here");
      c.rollback();
      return told;
    });
    tell("cancelled", c -> cancelled(c, table));
    tell("timed out", c -> {
      try (Statement statement = c.createStatement()) {
        statement.setQueryTimeout(1);
        return slow(statement, table);
      }
    });
    tell("temporary table", c -> one(c, "CREATE LOCAL TEMPORARY TABLE \"#Tableau_1_Connect\" (\"COL\" INTEGER) ON COMMIT PRESERVE ROWS"));
    tell("still well after an error", c -> {
      try {
        one(c, "SELECT nothing FROM " + table);
      } catch (SQLException error) {
        return error.getSQLState() + " " + one(c, "SELECT 1");
      }
      return "no error";
    });
    tell("types", c -> {
      try (Statement s = c.createStatement(); ResultSet rows = s.executeQuery("SELECT * FROM " + table + " LIMIT 0")) {
        StringBuilder told = new StringBuilder();
        for (int at = 1; at <= rows.getMetaData().getColumnCount(); at++) {
          told.append(rows.getMetaData().getColumnName(at)).append(' ').append(rows.getMetaData().getColumnTypeName(at))
              .append('(').append(rows.getMetaData().getPrecision(at)).append(',').append(rows.getMetaData().getScale(at)).append(") ");
        }
        return told.toString().trim();
      }
    });
  }

  static void tell(String asked, Tried tried) throws Exception {
    Object told;
    try (Connection connection = DriverManager.getConnection(url, user, password)) {
      told = tried.with(connection);
    } catch (SQLException error) {
      told = "thrown " + error.getSQLState();
    }
    System.out.println("{\"asked\": " + Metadata.json(asked) + ", \"told\": " + Metadata.json(told) + "}");
  }

  static Object one(Connection connection, String query) throws SQLException {
    try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery(query)) {
      rows.next();
      return rows.getString(1);
    }
  }

  static Object fetched(Connection connection, String table, int size) throws SQLException {
    connection.setAutoCommit(false);
    long rows = 0;
    try (Statement statement = connection.createStatement()) {
      statement.setFetchSize(size);
      try (ResultSet result = statement.executeQuery("SELECT amount FROM " + table)) {
        while (result.next()) {
          rows++;
        }
      }
    }
    connection.commit();
    return rows;
  }

  static Object preparedOften(Connection connection, String table) throws SQLException {
    String told = "";
    String query = "SELECT count(*), sum(amount), max(sold_at), min(quantity), bool_and(quantity > 0), avg(quantity), max(CAST(sold_at AS DATE)) FROM " + table + " WHERE region = ?";
    try (PreparedStatement statement = connection.prepareStatement(query)) {
      for (int time = 0; time < 8; time++) {
        statement.setString(1, "Bretagne");
        try (ResultSet rows = statement.executeQuery()) {
          rows.next();
          String now = rows.getLong(1) + " " + rows.getBigDecimal(2) + " " + rows.getTimestamp(3).getTime() + " " + rows.getInt(4)
              + " " + rows.getBoolean(5) + " " + Math.round(rows.getDouble(6) * 1000) + " " + rows.getDate(7);
          if (!told.isEmpty() && !told.equals(now)) {
            return "time " + time + ": " + now + " after " + told;
          }
          told = now;
        }
      }
    }
    return told;
  }

  static Object parameters(Connection connection, String table) throws SQLException {
    String query = "SELECT count(*) FROM " + table + " WHERE amount > ? AND quantity >= ? AND sold_at < ? AND CAST(sold_at AS DATE) >= ? AND channel IN (?, ?)";
    try (PreparedStatement statement = connection.prepareStatement(query)) {
      statement.setBigDecimal(1, new BigDecimal("1.50"));
      statement.setInt(2, 1);
      statement.setTimestamp(3, Timestamp.valueOf("2100-01-01 00:00:00"));
      statement.setDate(4, Date.valueOf("2000-01-01"));
      statement.setString(5, "web");
      statement.setString(6, "store");
      try (ResultSet rows = statement.executeQuery()) {
        rows.next();
        return rows.getLong(1);
      }
    }
  }

  static Object slow(Statement statement, String table) throws SQLException {
    long began = System.nanoTime();
    try (ResultSet rows = statement.executeQuery(
        "SELECT count(*) FROM " + table + " a CROSS JOIN " + table + " b CROSS JOIN " + table + " c WHERE a.amount + b.amount < c.amount")) {
      rows.next();
      return "not stopped";
    } catch (SQLException error) {
      return error.getSQLState() + ((System.nanoTime() - began) / 1_000_000_000 < 5 ? " soon" : " late");
    }
  }

  static Object cancelled(Connection connection, String table) throws Exception {
    try (Statement statement = connection.createStatement()) {
      CompletableFuture<Object> told = CompletableFuture.supplyAsync(() -> {
        try {
          return slow(statement, table);
        } catch (SQLException error) {
          return "thrown " + error.getSQLState();
        }
      });
      Thread.sleep(500);
      statement.cancel();
      return told.get();
    }
  }
}
